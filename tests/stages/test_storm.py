"""Storms: hundreds of endpoints that fail at once, and more events than can be written."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest

import tests.harness
import tocsin.stages.intake as intake_stage
from tests.harness import HOSTS, PATIENCE_S, POLL_S, Hook, Running
from tocsin.store.database import Transaction

pytestmark = pytest.mark.anyio
MINUTES = 60


async def an_hour_of_failures(tocsin: Running, count: int) -> tuple[int, int]:
    """So many endpoints at three hosts get one message each and answer 503, for an hour; then they are well. Beside
    them one gets a message a minute, and at once. Returns the attempts of that hour, and the most in a minute after the
    first ones."""
    tocsin.client.history.clear()
    well = tocsin.receiver.hook("/well")
    await tocsin.webhook(well, enabled_events=["well"])
    failing: list[Hook] = []
    for number in range(count):
        hook = tocsin.receiver.hook(f"/failing/{number}", HOSTS[1 + number % 3])
        hook.always(503)
        await tocsin.webhook(hook, enabled_events=["storm"])
        failing.append(hook)
    await tocsin.send(type="storm")
    await tocsin.settle()
    asked = [sum(len(hook.received) for hook in failing)]
    for _ in range(MINUTES):
        await tocsin.send(type="well")
        await well.got(len(well.received) + 1)  # at once: the clock stands still
        await tocsin.move(60)
        asked.append(sum(len(hook.received) for hook in failing))
    for hook in failing:
        hook.always(200)
    await tocsin.wait_out()
    assert len(well.all_new()) == MINUTES
    for hook in failing:
        assert len({message.id for message in hook.all_new()}) == 1
    statuses = await tocsin.statuses()
    assert statuses == {"delivered": MINUTES + count}, statuses
    per_minute = [later - earlier for earlier, later in pairwise(asked)]
    return asked[-1], max(per_minute)


async def test_hundreds_of_endpoints_that_fail_do_not_hold_up_the_others(tocsin: Running) -> None:
    """F30: three hosts are down; what is asked of them is a few probes, not every message its own schedule."""
    asked, most = await an_hour_of_failures(tocsin, 60)
    assert asked <= 60 + 3 * (MINUTES + 10), "one at a time asks a host whether it is back"
    assert most <= 9


@pytest.mark.proof
async def test_two_thousand_endpoints_that_fail(
    tocsin: Running, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tests.harness, "PATIENCE_S", 120.0)
    began = time.monotonic()
    asked, most = await an_hour_of_failures(tocsin, 2_000)
    with capsys.disabled():
        print(
            f"\n{tocsin.dialect}: 2,000 failing endpoints: {asked} attempts in an hour, {most} in a minute at the "
            f"most after the first; {time.monotonic() - began:.0f} s"
        )
    assert asked <= 2_000 + 3 * (MINUTES + 10)


async def test_more_than_can_be_written_is_refused_and_bounded(
    tocsin: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F31: while nothing can be written so many wait and no more. Each is answered in time; what got a 202 is there."""
    monkeypatch.setattr(intake_stage, "MOST_WAITING", 40)
    monkeypatch.setattr(intake_stage, "BEGUN_WITHIN_S", 0.3)
    intake = tocsin.app.intake
    closed = asyncio.Event()
    real = tocsin.app.db.transaction

    @asynccontextmanager
    async def slow() -> AsyncIterator[Transaction]:
        await closed.wait()
        async with real() as tx:
            yield tx

    monkeypatch.setattr(tocsin.app.db, "transaction", slow)
    posts = [asyncio.create_task(tocsin.client.post("/v1/events", {"type": "x", "id": f"e{n}"})) for n in range(200)]
    async with asyncio.timeout(PATIENCE_S):
        while sum(post.done() for post in posts) < 150:
            assert intake.waiting_events <= 40
            await asyncio.sleep(POLL_S)
    closed.set()
    answers = await asyncio.gather(*posts)
    assert {answer.status for answer in answers} == {202, 503}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in answers if answer.status == 503)
    taken = {f"e{n}" for n, answer in enumerate(answers) if answer.status == 202}
    stored = {event["id"] for event in await everything(tocsin)}
    assert taken <= stored


async def everything(running: Running) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor = ""
    while cursor is not None:
        page = (await running.client.get(f"/v1/events?limit=100&cursor={cursor}")).ok()
        found += page["items"]
        cursor = page["next"]
    return found
