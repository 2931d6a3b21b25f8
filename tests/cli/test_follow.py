"""`tocsin events --follow`: what comes in, while it comes in, and after an interruption too."""

import asyncio
from collections.abc import Generator
from typing import Any

import pytest

from tests.cli.conftest import Command, Done
from tests.harness import PATIENCE_S, Running
from tocsin.cli import stream as client
from tocsin.web import stream

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "EVERY_S", {"sqlite": 0.01, "postgres": 0.02})
    monkeypatch.setattr(stream, "IDLE_S", {"sqlite": 60.0, "postgres": 0.02})
    monkeypatch.setattr(stream, "HEARTBEAT_S", 0.05)
    monkeypatch.setattr(client, "AGAIN_S", 0.01)


async def readers(tocsin: Running, count: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not (feed := tocsin.hub.feeds.get("default")) or len(feed.readers) < count or not feed.ready.is_set():
            await asyncio.sleep(0.005)


async def test_it_goes_on_until_it_may_not(tocsin: Running, command: Command) -> None:
    # S0-09
    made = (await tocsin.client.post("/v1/tokens", {"name": "ci", "role": "viewer"})).ok(201)
    await tocsin.send(id="before", pipeline="etl", title="\x1b[2J")
    await tocsin.send(id="other", pipeline="other")
    following: asyncio.Future[Done] = asyncio.ensure_future(
        command("events", "--pipeline", "etl", "--type", "run.failed", "--follow", TOCSIN_TOKEN=made["token"])
    )
    await readers(tocsin, 1)
    await tocsin.send(id="now", pipeline="etl")
    await tocsin.send(id="another", pipeline="etl", type="run.started")
    await tocsin.send(id="elsewhere", pipeline="other")
    await tocsin.hub.feeds["default"].look()
    await asyncio.sleep(0.1)  # what was told is on its way to the other thread
    (await tocsin.client.delete(f"/v1/tokens/{made['id']}")).ok(204)
    tocsin.clock.move(2)
    done = await asyncio.wait_for(following, PATIENCE_S)
    assert (done.code, "revoked" in done.err) == (3, True)
    assert [line.split("\t")[1] for line in done.out.splitlines()] == ["before", "now"]


async def test_what_came_during_an_interruption_is_told_once_it_is_over(
    tocsin: Running, capsys: pytest.CaptureFixture[str]
) -> None:
    found: Generator[dict[str, Any]] = client.messages("event", "", url=tocsin.client.base, token=tocsin.client.token)
    first = asyncio.create_task(asyncio.to_thread(next, found))
    await readers(tocsin, 1)
    await tocsin.send(id="1")
    assert (await asyncio.wait_for(first, PATIENCE_S))["id"] == "1"
    for reader in list(tocsin.hub.feeds["default"].readers):
        reader.end("a test says so")
    await tocsin.send(id="2")
    assert (await asyncio.wait_for(asyncio.to_thread(next, found), PATIENCE_S))["id"] == "2"
    await asyncio.to_thread(found.close)
    assert capsys.readouterr().err == ""
