"""What time brings about, and what is left when a process ends."""

import asyncio
from typing import Any

import pytest

from tests.harness import Running, Start

pytestmark = pytest.mark.anyio

DAY = 86_400


async def test_old_rows_go_and_what_waits_stays(start: Start) -> None:
    # F-retention: what still waits is never removed
    tocsin = await start(TOCSIN_RETENTION_DAYS="2", TOCSIN_RETENTION_DEAD_DAYS="2")
    hook, off = tocsin.receiver.hook("/hook"), tocsin.receiver.hook("/off")
    await tocsin.rule(await tocsin.webhook(hook), event_types=["run.failed"])
    gone = await tocsin.webhook(off)
    await tocsin.rule(gone, event_types=["run.warning"])
    await tocsin.send(id="delivered")
    await tocsin.settle()
    off.answer(410)
    await tocsin.send(id="dead", type="run.warning")
    await tocsin.settle()
    await tocsin.send(id="waits", type="run.warning")
    hook.expect(1)
    off.expect(1)
    await tocsin.move(2 * DAY + 60)
    events = {event["id"] for event in (await tocsin.client.get("/v1/events?source=http")).ok()["items"]}
    assert events == {"waits"}
    assert {d["event_id"] for d in await tocsin.deliveries(event_type="run.warning")} == {"waits"}
    (await tocsin.client.get("/v1/events/delivered/why")).problem(404)
    (await tocsin.client.post(f"/v1/webhooks/{gone['id']}/enable")).ok()
    await tocsin.settle()
    (message,) = off.expect(1)
    assert message.json["id"] == "waits"


async def test_each_kind_of_row_has_its_time(start: Start) -> None:
    tocsin = await start(
        TOCSIN_RETENTION_DAYS="4", TOCSIN_RETENTION_ATTEMPT_DAYS="2", TOCSIN_RETENTION_DEAD_DAYS="6",
        TOCSIN_RETENTION_RUN_DAYS="8", TOCSIN_RETENTION_INBOX_DAYS="3", TOCSIN_RETENTION_AUDIT_DAYS="9",
    )  # fmt: skip
    hook, off = tocsin.receiver.hook("/hook"), tocsin.receiver.hook("/off")
    await tocsin.rule(await tocsin.webhook(hook), event_types=["run.failed"])
    await tocsin.rule(await tocsin.webhook(off), event_types=["run.warning"])
    mia = await tocsin.as_("developer", user="mia")
    inbox = {"provider_type": "in_app", "name": "mine", "enabled_events": ["run.failed"], "settings": {}}
    (await mia.post("/v1/webhooks", inbox)).ok(201)
    off.answer(410)
    for run in ("1", "2"):
        await tocsin.send(id=f"sent {run}", pipeline="p", run_id=run)
    await tocsin.send(id="dead", type="run.warning")
    await tocsin.settle()
    hook.expect(2)
    off.expect(1)

    async def left() -> dict[str, int]:
        sent = await tocsin.deliveries(event_type="run.failed", provider_type="webhook")
        dead = await tocsin.deliveries(status="dead")
        return {
            "sent": len(sent),
            "attempts": sum([len((await one(delivery))["log"]) for delivery in sent]),
            "dead": len(dead),
            "attempts of dead": sum([len((await one(delivery))["log"]) for delivery in dead]),
            "runs": len((await tocsin.client.get("/v1/runs")).ok()["items"]),
            "inbox": len((await mia.get("/v1/inbox")).ok()["items"]),
            "audit": (await tocsin.client.get("/v1/audit?limit=100")).ok()["items"][-1]["number"],
        }

    async def one(delivery: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = (await tocsin.client.get(f"/v1/deliveries/{delivery['id']}")).ok()
        return found

    whole = {"sent": 2, "attempts": 2, "dead": 1, "attempts of dead": 1, "runs": 2, "inbox": 2, "audit": 1}
    assert await left() == whole
    steps = [
        (2, {"attempts": 0} if tocsin.dialect == "sqlite" else {}),
        (1, {"attempts": 0, "inbox": 0}),  # with PostgreSQL they go by whole days
        (1, {"sent": 0}),
        (2, {"dead": 0, "attempts of dead": 0}),
        (2, {"runs": 1}),  # the last one of its pipeline stays
    ]
    for days, changed in steps:
        await tocsin.move(days * DAY + 60)
        whole |= changed
        assert await left() == whole, (days, changed)
    await tocsin.move(DAY)
    assert (await left())["audit"] > 1
    assert (await tocsin.client.get("/v1/audit/verify")).ok()["ok"]


async def test_what_nobody_would_look_at_is_found(tocsin: Running) -> None:
    """A bug or a hand in the database could lose the note that something is due; the sweep mends it."""
    hook = tocsin.receiver.hook("/hook")
    await tocsin.webhook(hook, enabled_events=["*"])
    hook.answer(500)
    await tocsin.send()
    await tocsin.settle()
    hook.expect(1)
    await tocsin.app.db.script("UPDATE endpoint_state SET next_ms = NULL")
    await tocsin.move(30)
    await tocsin.wait_out()
    hook.expect(1)


async def test_two_sweeps_at_once_do_things_once(tocsin: Running) -> None:
    gone, owner = tocsin.receiver.hook("/gone"), tocsin.receiver.hook("/owner")
    await tocsin.webhook(gone, enabled_events=["run.*"])
    await tocsin.webhook(owner, enabled_events=["endpoint.*"])
    gone.answer(410)
    await tocsin.send()
    await asyncio.gather(*(tocsin.app.sweep.sweep() for _ in range(5)))
    await tocsin.settle()
    gone.expect(1)
    owner.expect(1)


async def test_a_process_that_stops_hands_back_what_waits(start: Start) -> None:
    # F07
    one = await start(TOCSIN_DRAIN_SECONDS="10")  # it ends as soon as what is on its way has ended
    hook = one.receiver.hook("/hook")
    await one.webhook(hook, enabled_events=["*"])
    hook.hang()
    events = [{"type": "run.failed", "id": f"e{n}"} for n in range(100)]
    (await one.client.post("/v1/events", {"events": events})).ok(202)
    await hook.got(1)
    stopping = asyncio.create_task(one.worker.stop())
    hook.let_go()
    await stopping
    done = await one.statuses()
    assert set(done) <= {"delivered", "pending"}
    assert "sending" not in done
    before = len(hook.all_new())
    assert before == done.get("delivered", 0)
    two = await start()
    await two.wait_out()
    messages = hook.expect(100 - before)
    assert len({m.id for m in messages}) == 100 - before
    assert await two.statuses() == {"delivered": 100}


async def test_what_was_being_sent_at_a_crash_is_sent_again(start: Start, store: dict[str, str]) -> None:
    """SQLite is for one process: at its start nobody else can hold a lease."""
    if store["TOCSIN_DATABASE_URL"]:
        pytest.skip("on PostgreSQL the lease has to end first; see test_a_lease_that_was_lost_returns")
    one = await start()
    hook = one.receiver.hook("/hook")
    await one.webhook(hook, enabled_events=["*"])
    hook.hang()
    await one.send(id="e1")
    await hook.got(1)
    for task in [*one.worker.tasks, *one.app.deliver.senders]:
        task.cancel()
    two = await start()
    hook.let_go()
    await two.wait_out()
    assert len({m.id for m in hook.expect(2)}) == 1
    assert await two.statuses() == {"delivered": 1}


async def test_a_process_that_only_takes_in_leaves_the_sending_to_others(start: Start, store: dict[str, str]) -> None:
    if not store["TOCSIN_DATABASE_URL"]:
        pytest.skip("SQLite is for one process")
    api = await start(works=False)
    hook = api.receiver.hook("/hook")
    webhook = await api.webhook(hook, enabled_events=["*"])
    for number in range(5):
        await api.send(id=f"e{number}")
    assert await api.statuses() == {"pending": 5}
    worker = await start()
    await worker.wait_out()
    hook.expect(5)
    # and a change made in one process counts in the other
    (await api.client.post(f"/v1/webhooks/{webhook['id']}/disable")).ok()
    await worker.send(id="off")
    await worker.settle()
    hook.expect(0)
