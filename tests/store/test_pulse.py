"""Whether a database is away is for the database to say: a process that stood still itself takes nobody for away."""

import asyncio
import time

import pytest

from tocsin.store.postgres import said_within

pytestmark = pytest.mark.anyio


async def test_an_answer_after_a_stall_of_our_own_counts() -> None:
    async def answer() -> str:
        await asyncio.sleep(0.05)
        time.sleep(0.6)  # the loop itself stands still, as where the machine is paused
        await asyncio.sleep(0.05)
        return "here"

    assert await said_within(answer(), 0.4) == "here"


async def test_silence_is_silence() -> None:
    asked = asyncio.Event()
    ended = asyncio.Event()

    async def no_answer() -> None:
        asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    began = time.monotonic()
    with pytest.raises(TimeoutError):
        await said_within(no_answer(), 0.3)
    assert asked.is_set()
    assert ended.is_set()
    assert time.monotonic() - began > 0.25  # a timer may come a little early


async def test_a_refusal_is_known_at_once() -> None:
    async def refused() -> None:
        raise ConnectionRefusedError("nobody there")

    with pytest.raises(ConnectionRefusedError):
        await said_within(refused(), 60)
