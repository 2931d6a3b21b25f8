"""What was accepted is accounted for: the sums meet, whatever becomes of it, and a row that goes missing is named."""

import asyncio
from itertools import count
from typing import Any

import pytest

from tests.cli.conftest import Command, command  # noqa: F401
from tests.harness import Running, Start
from tocsin.store import ledger

pytestmark = pytest.mark.anyio

DAY = 86_400


async def reconciled(tocsin: Running, days: int = 7) -> dict[str, Any]:
    found: dict[str, Any] = (await tocsin.client.get(f"/v1/stats/reconcile?days={days}")).ok()
    return found


async def some_of_everything(tocsin: Running) -> dict[str, int]:
    """Events whose deliveries end in every way; returns how many there are of each."""
    good, gone, slow = (tocsin.receiver.hook(path) for path in ("/good", "/gone", "/slow"))
    await tocsin.rule(await tocsin.webhook(good), event_types=["a.*"])
    dies = await tocsin.webhook(gone)
    await tocsin.rule(dies, event_types=["b.*"])
    await tocsin.rule(await tocsin.webhook(slow), event_types=["c.*"])
    grouped = await tocsin.rule(
        await tocsin.webhook(good, name="grouped"), event_types=["d.*"], group={"by": ["type"], "wait_s": 60}
    )
    assert grouped["group"]
    gone.always(410)
    slow.always(503)
    for number in range(3):
        await tocsin.send(type="a.one", id=f"a{number}")
    await tocsin.send(type="a.one", id="a0")  # known already
    for number in range(4):
        await tocsin.send(type="d.one", id=f"d{number}")
    await tocsin.send(type="b.one")
    await tocsin.settle()
    await tocsin.send(type="c.one", id="c1")
    await tocsin.send(type="c.one", id="c2")
    await tocsin.send(type="nobody.cares")
    await tocsin.settle()
    (first, _) = await tocsin.deliveries(event_type="c.one")
    (await tocsin.client.post(f"/v1/deliveries/{first['id']}/cancel")).ok()
    quiet = {"matchers": [{"field": "type", "value": "a.quiet"}], "duration_s": 3600}
    (await tocsin.client.post("/v1/silences", quiet)).ok(201)
    await tocsin.send(type="a.quiet")
    await tocsin.settle()
    for hook in (good, gone, slow):
        hook.all_new()
    # The notice that a webhook was switched off is an event, too, and nobody's.
    return {"delivered": 3, "dead": 1, "cancelled": 1, "suppressed": 1, "folded": 3, "waiting": 2, "expired": 0}


async def test_the_sums_meet(tocsin: Running) -> None:
    fates = await some_of_everything(tocsin)
    found = await reconciled(tocsin)
    assert (found["ok"], found["differences"]) == (True, [])
    (day,) = found["days"]
    assert day["deliveries"] == {"planned": sum(fates.values()), "removed": 0} | fates
    assert day["events"] == {"accepted": 13, "unheard": 2, "stored": 13, "removed": 0}
    assert len(await tocsin.deliveries()) == day["deliveries"]["planned"]
    await tocsin.wait_out()
    for hook in tocsin.receiver.hooks.values():
        hook.all_new()
    after = await reconciled(tocsin)
    assert after["ok"]
    deliveries = after["days"][0]["deliveries"]
    assert deliveries["waiting"] == 0
    assert deliveries["planned"] == sum(deliveries[fate] for fate in ledger.FATES)


ONE_WRITER = "writer = (SELECT min(writer) FROM day_taken)"
LOSSES = {
    "DELETE FROM delivery WHERE status = 'delivered'": "3 deliveries of those planned missing",
    "DELETE FROM delivery WHERE folded_into <> ''": "3 deliveries of those planned missing",
    "DELETE FROM event WHERE type = 'nobody.cares'": "1 event of those accepted missing",
    "UPDATE event SET tenant_id = 'elsewhere' WHERE id = 'a1'": "1 event of those accepted missing",
    "UPDATE event SET uid = replace(uid, 'evt_', 'evt_f') WHERE id = 'a1'": "1 event of those accepted missing",
    "DELETE FROM day_taken": "13 events too many: never accepted",
    f"UPDATE day_taken SET deliveries = deliveries - 2 WHERE {ONE_WRITER}": "2 deliveries too many: never planned",
}


@pytest.mark.parametrize("statement", LOSSES, ids=[one[:40] for one in LOSSES])
async def test_what_goes_missing_is_named(tocsin: Running, statement: str) -> None:
    await some_of_everything(tocsin)
    assert (await reconciled(tocsin))["ok"]
    await tocsin.app.db.script(statement)
    found = await reconciled(tocsin)
    assert not found["ok"]
    assert LOSSES[statement] in found["differences"][0]
    assert found["differences"][0].startswith(found["days"][-1]["day"])


async def test_the_doctor_looks_at_every_tenant(
    tocsin: Running,
    command: Command,  # noqa: F811
    store: dict[str, str],
) -> None:
    await tocsin.send()
    await tocsin.send(await tocsin.as_("admin", "acme"), id="lost")

    async def told() -> list[tuple[str, str]]:
        done = await command("doctor", "--reconcile", "-o", "json", **store)
        found = [(one["level"], one["found"]) for one in done.json if one["check"] == "reconcile"]
        assert (done.code == 1) == any(one["level"] == "problem" for one in done.json)
        return found

    assert await told() == [("ok", "2 events and 0 deliveries are all accounted for")]
    await tocsin.app.db.script("DELETE FROM event WHERE id = 'lost'")
    ((level, said),) = await told()
    assert level == "problem"
    assert said.startswith("acme, 20")
    assert said.endswith(": 1 event of those accepted missing.")


async def test_the_sums_meet_while_old_rows_are_removed(start: Start) -> None:
    tocsin = await start(TOCSIN_RETENTION_DAYS="2", TOCSIN_RETENTION_DEAD_DAYS="4")
    await some_of_everything(tocsin)
    tocsin.app.sweep.others = ()  # nothing else makes events meanwhile
    await tocsin.move(2 * DAY + 60)
    for hook in tocsin.receiver.hooks.values():
        hook.all_new()
    found = await reconciled(tocsin, 30)
    assert found["ok"]
    day = found["days"][-1]
    assert day["events"]["removed"] > 8
    assert day["deliveries"]["removed"] > 8
    assert day["deliveries"]["delivered"] >= 3
    await tocsin.app.db.script("DELETE FROM delivery WHERE status = 'dead'")
    assert "of those planned missing" in (await reconciled(tocsin, 30))["differences"][0]


@pytest.mark.parametrize("slice_rows", [500_000, 7])
async def test_the_sums_meet_while_it_is_busy(
    tocsin: Running, monkeypatch: pytest.MonkeyPatch, slice_rows: int
) -> None:
    """A big day is counted in slices."""
    monkeypatch.setattr(ledger, "SLICE_ROWS", slice_rows)
    hook = tocsin.receiver.hook("/a")
    await tocsin.webhook(hook, enabled_events=["run.failed"])

    looks = sent = 0

    async def send(sender: int) -> None:
        nonlocal sent
        for batch in count():
            if batch >= 15 and looks > 3:  # on a busy machine a look takes as long as all of them
                return
            events = [{"type": "run.failed", "id": f"{sender}-{batch}-{n}"} for n in range(5)]
            (await tocsin.client.post("/v1/events", {"events": events})).ok(202)
            sent += len(events)

    sending = asyncio.gather(*(send(sender) for sender in range(4)))
    while not sending.done():
        assert (await reconciled(tocsin))["ok"]
        looks += 1
    await sending
    await tocsin.settle()
    found = await reconciled(tocsin)
    assert (found["ok"], found["days"][0]["deliveries"]["delivered"]) == (True, sent)
    hook.expect(sent)


async def test_days_that_are_over_are_summed_up(tocsin: Running) -> None:
    await tocsin.send()
    await tocsin.send()
    before = (await reconciled(tocsin, 30))["days"]
    await tocsin.move(3 * DAY)
    assert await writers(tocsin) == [("",)]
    assert (await reconciled(tocsin, 30))["days"] == before
    tocsin.clock.move(500 * DAY)
    await tocsin.settle()
    assert await writers(tocsin) == []


async def writers(tocsin: Running) -> list[tuple[Any, ...]]:
    db: Any = tocsin.app.db
    text = "SELECT writer FROM day_taken"
    if db.dialect == "sqlite":
        return list(db.writer.execute(text))
    return [tuple(row) for row in await db.pool.fetch(text)]


async def test_what_was_there_before_counting_began_is_left_out(tocsin: Running) -> None:
    await tocsin.send()
    await tocsin.app.db.script(
        "DELETE FROM day_taken; INSERT INTO meta (name, value) SELECT 'uncounted_until', max(uid) FROM event"
    )
    assert await reconciled(tocsin) | {"at": ""} == {"ok": True, "at": "", "days": [], "differences": []}


async def test_a_tenant_sees_its_own_sums(tocsin: Running) -> None:
    # S4-10
    theirs = await tocsin.as_("admin", "theirs")
    await tocsin.send(theirs)
    assert (await reconciled(tocsin))["days"] == []
    (day,) = (await theirs.get("/v1/stats/reconcile")).ok()["days"]
    assert day["events"]["accepted"] == 1
    for given in ("0", "x", "99999", "-1", ""):
        (await theirs.get(f"/v1/stats/reconcile?days={given}")).problem(400, "days")
    (await (await tocsin.as_("developer", "theirs")).get("/v1/stats/reconcile")).problem(403)
