"""The queue, on both stores: claims are exclusive, a late result is refused, nothing is forgotten."""

import asyncio

import pytest

from tests.store.rows import add_deliveries, add_endpoint, add_tenant, delivery, endpoint, result
from tocsin.model.delivery import UNEDITED
from tocsin.store import config, log, queue, retention
from tocsin.store.database import Database
from tocsin.store.intake import delivery_row
from tocsin.store.sealing import Keyring

pytestmark = pytest.mark.anyio

LATER = 2**40


async def seed(db: Database, keyring: Keyring, count: int, endpoint_id: str = "whk_1", tenant: str = "default") -> None:
    """An endpoint with so many due deliveries; the first is the oldest."""
    await add_tenant(db, tenant)
    await add_endpoint(db, keyring, endpoint(endpoint_id, tenant))
    made = []
    for number in range(count):
        name = f"{endpoint_id}_{number:04}"
        made.append(delivery(f"dlv_{name}", tenant, event_uid=f"evt_{name}", endpoint_id=endpoint_id, due_ms=number))
    async with db.transaction() as tx:
        await add_deliveries(tx, *made)


async def state(db: Database, id_: str, tenant: str = "default") -> tuple[str, int, int]:
    """Status, attempts, due."""
    found = await log.get_delivery(db, tenant, id_)
    assert found is not None
    return found["status"], found["attempts"], found["due_ms"]


async def claim(db: Database, count: int, lease: str, now_ms: int = 10_000) -> list[queue.Taken]:
    async with db.transaction() as tx:
        ready = await queue.ready(tx, now_ms, 10)
        got = await queue.claim(tx, {e.endpoint_id: count for e in ready}, now_ms, lease, now_ms + 60_000)
        await queue.requeue(tx, [queue.Requeue(e.endpoint_id, 0, True, now_ms) for e in ready])
    return got


async def soonest(db: Database) -> int | None:
    found: int | None = (await db.read("soonest_due"))[0][0]
    return found


async def test_claims_are_exclusive(db: Database, keyring: Keyring) -> None:
    # F25
    await seed(db, keyring, 200)
    got = await asyncio.gather(*(claim(db, 30, f"lease{n}") for n in range(10)))
    ids = [taken.delivery.id for part in got for taken in part]
    assert len(ids) == len(set(ids))
    while more := await claim(db, 30, "rest"):
        ids += [taken.delivery.id for taken in more]
    assert sorted(ids) == sorted({f"dlv_whk_1_{n:04}" for n in range(200)})
    assert await soonest(db) is None


async def test_the_oldest_goes_first_and_first_attempts_before_retries(db: Database, keyring: Keyring) -> None:
    # F30
    await seed(db, keyring, 4)
    got = await claim(db, 2, "a")
    assert {t.delivery.id for t in got} == {"dlv_whk_1_0000", "dlv_whk_1_0001"}
    async with db.transaction() as tx:
        again = [result(t.delivery, "a", "retrying", due_ms=0, failures=1) for t in got]
        assert len(await queue.finish(tx, again, 10)) == 2
        await queue.wake(tx, {"whk_1": 0})
    got = await claim(db, 3, "b")
    assert sorted((t.delivery.id, t.delivery.attempts) for t in got) == [
        ("dlv_whk_1_0000", 1), ("dlv_whk_1_0002", 0), ("dlv_whk_1_0003", 0),
    ] or sorted((t.delivery.id, t.delivery.attempts) for t in got) == [
        ("dlv_whk_1_0001", 1), ("dlv_whk_1_0002", 0), ("dlv_whk_1_0003", 0),
    ]  # fmt: skip


async def test_nothing_is_claimed_before_it_is_due(db: Database, keyring: Keyring) -> None:
    await seed(db, keyring, 3)
    got = await claim(db, 10, "a", now_ms=1)
    assert {t.delivery.id for t in got} == {"dlv_whk_1_0000", "dlv_whk_1_0001"}
    assert await soonest(db) == 2
    assert await claim(db, 10, "b", now_ms=1) == []


async def test_a_late_result_is_refused(db: Database, keyring: Keyring) -> None:
    # F25
    await seed(db, keyring, 1)
    (late,) = await claim(db, 1, "late", now_ms=0)
    async with db.transaction() as tx:
        assert await queue.take_back(tx, "lost_leases", {"now": 60_001, "limit": 10}) == 1
    (other,) = await claim(db, 1, "other", now_ms=60_001)
    assert other.delivery.id == late.delivery.id
    async with db.transaction() as tx:
        assert await queue.finish(tx, [result(late.delivery, "late")], 60_002) == set()
    assert (await state(db, late.delivery.id))[0] == "sending"
    assert await log.list_attempts(db, "default", late.delivery.id) == []
    async with db.transaction() as tx:
        assert await queue.finish(tx, [result(other.delivery, "other")], 60_003) == {late.delivery.id}
        assert await queue.finish(tx, [result(other.delivery, "other", "dead")], 60_004) == set()
    assert (await state(db, late.delivery.id))[:2] == ("delivered", 1)
    assert len(await log.list_attempts(db, "default", late.delivery.id)) == 1


async def test_a_late_release_is_refused(db: Database, keyring: Keyring) -> None:
    await seed(db, keyring, 1)
    (taken,) = await claim(db, 1, "mine", now_ms=5)
    id_ = taken.delivery.id
    async with db.transaction() as tx:
        await queue.release(tx, [("default", id_, "not mine", 0)])
    assert (await state(db, id_))[0] == "sending"
    async with db.transaction() as tx:
        await queue.release(tx, [("default", id_, "mine", 777)])
    assert await state(db, id_) == ("pending", 0, 777)
    assert await soonest(db) == 777


async def test_a_lease_holds_until_its_end(db: Database, keyring: Keyring) -> None:
    # F24
    await seed(db, keyring, 1)
    (taken,) = await claim(db, 1, "mine", now_ms=0)
    for now_ms, back in ((59_999, 0), (60_000, 0), (60_001, 1)):
        async with db.transaction() as tx:
            assert await queue.take_back(tx, "lost_leases", {"now": now_ms, "limit": 10}) == back
    assert await state(db, taken.delivery.id) == ("pending", 0, 60_001)
    assert await soonest(db) == 60_001


async def test_a_message_that_loses_its_leases_is_dead(db: Database, keyring: Keyring) -> None:
    # F38
    await seed(db, keyring, 1)
    for times in range(3):
        now_ms = times * 100_000
        (taken,) = await claim(db, 1, f"l{times}", now_ms=now_ms)
        async with db.transaction() as tx:
            assert await queue.take_back(tx, "lost_leases", {"now": now_ms + 60_001, "limit": 3}) == 1
    assert (await state(db, taken.delivery.id))[0] == "dead"
    assert await claim(db, 1, "more", now_ms=LATER) == []


async def test_what_a_claimer_leaves_behind_is_looked_at_again(db: Database, keyring: Keyring) -> None:
    await seed(db, keyring, 3)
    async with db.transaction() as tx:
        (ready,) = await queue.ready(tx, 100, 10)
        await queue.claim(tx, {"whk_1": 1}, 100, "l", LATER)
        await queue.requeue(tx, [queue.Requeue("whk_1", 42, ready.is_open, 5_000)])
    assert await soonest(db) == 5_000
    async with db.transaction() as tx:
        (ready,) = await queue.ready(tx, 5_000, 10)
        assert ready.bucket_us == 42


async def test_a_closed_endpoint_is_not_looked_at(db: Database, keyring: Keyring) -> None:
    await seed(db, keyring, 2)
    async with db.transaction() as tx:
        assert await queue.disable(tx, "default", "whk_1", "gone", 5) is True
        assert await queue.disable(tx, "default", "whk_1", "gone again", 5) is False
        (ready,) = await queue.ready(tx, 10, 10)
        assert ready.is_open is False
        await queue.requeue(tx, [queue.Requeue("whk_1", 0, False, 10)])
    assert await soonest(db) is None
    async with db.transaction() as tx:
        assert await config.switch_endpoint(tx, "default", "whk_1", is_active=True, reason="", now_ms=99) is True
    assert await soonest(db) == 99
    assert len(await claim(db, 10, "l")) == 2


async def test_tenants_take_turns(db: Database, keyring: Keyring) -> None:
    # F31
    for number in range(6):
        await seed(db, keyring, 1, f"whk_many{number}", "many")
    await seed(db, keyring, 1, "whk_few", "few")
    async with db.transaction() as tx:
        ready = await queue.ready(tx, 10, 2)
    assert {r.tenant_id for r in ready} == {"many", "few"}


async def test_a_pause_is_never_shortened(db: Database, keyring: Keyring) -> None:
    await seed(db, keyring, 1)
    for until_ms in (5_000, 9_000, 7_000):
        async with db.transaction() as tx:
            await queue.pause(tx, {"whk_1": until_ms})
    async with db.transaction() as tx:
        (ready,) = await queue.ready(tx, 10, 1)
    assert ready.paused_until_ms == 9_000


async def test_waking_is_never_later(db: Database, keyring: Keyring) -> None:
    await seed(db, keyring, 0)
    for due_ms, expected in ((500, 500), (900, 500), (100, 100)):
        async with db.transaction() as tx:
            await queue.wake(tx, {"whk_1": due_ms})
        assert await soonest(db) == expected


async def test_failures_count_and_a_success_forgets_them(db: Database, keyring: Keyring) -> None:
    await seed(db, keyring, 0)
    async with db.transaction() as tx:
        assert await queue.failed(tx, {"whk_1": (3, "no")}) == [("default", "whk_1", 3)]
        assert await queue.failed(tx, {"whk_1": (1, "again"), "whk_nobody": (1, "")}) == [("default", "whk_1", 4)]
        await queue.notice(tx, "whk_1", "failing")
    found = await config.get_endpoint(db, "default", "whk_1")
    assert (found.consecutive_failures, found.last_error) == (4, "again")
    async with db.transaction() as tx:
        await queue.succeeded(tx, ["whk_1"], 77)
    found = await config.get_endpoint(db, "default", "whk_1")
    assert (found.consecutive_failures, found.last_used_ms) == (0, 77)
    assert await db.read("due_notices") == []


async def test_a_notice_that_it_is_off_survives_a_late_success(db: Database, keyring: Keyring) -> None:
    await seed(db, keyring, 0)
    async with db.transaction() as tx:
        await queue.disable(tx, "default", "whk_1", "gone", 5)
        await queue.succeeded(tx, ["whk_1"], 77)
    assert [row[2] for row in await db.read("due_notices")] == ["disabled"]


async def test_expiry_ends_what_waits_and_nothing_else(db: Database, keyring: Keyring) -> None:
    # F33
    await add_endpoint(db, keyring, endpoint())
    ages = {"dlv_old": 100, "dlv_new": 101, "dlv_sent": 50, "dlv_told": 60}
    async with db.transaction() as tx:
        made = [delivery(id_, event_uid=f"evt_{id_}", expires_ms=ms) for id_, ms in ages.items()]
        await add_deliveries(tx, *made)
        await queue.claim(tx, {"whk_1": 4}, 1, "l", LATER)
        by_id = {one.id: one for one in made}
        told = result(by_id["dlv_told"], "l", "retrying", reason=UNEDITED, due_ms=90)  # only its edit is left to do
        await queue.finish(tx, [result(by_id["dlv_sent"], "l"), told], 1)
        await queue.release(tx, [("default", "dlv_old", "l", 0), ("default", "dlv_new", "l", 0)])
        assert (
            await queue.take_back(tx, "expire_deliveries", {"now": 100, "reason": "too old", "unedited": UNEDITED}) == 2
        )
    assert [(await state(db, id_))[0] for id_ in ages] == ["expired", "pending", "delivered", "delivered"]


async def test_a_transaction_that_fails_leaves_nothing(db: Database, keyring: Keyring) -> None:
    await seed(db, keyring, 1)
    with pytest.raises(ZeroDivisionError):
        async with db.transaction() as tx:
            await queue.claim(tx, {"whk_1": 1}, 10, "l", LATER)
            raise ZeroDivisionError
    assert (await state(db, "dlv_whk_1_0000"))[0] == "pending"
    assert len(await claim(db, 1, "l")) == 1


async def test_readers_see_committed_data_only(db: Database, keyring: Keyring) -> None:
    await seed(db, keyring, 1)
    async with db.transaction() as tx:
        await queue.claim(tx, {"whk_1": 1}, 10, "l", LATER)
        assert (await state(db, "dlv_whk_1_0000"))[0] == "pending"
    assert (await state(db, "dlv_whk_1_0000"))[0] == "sending"


async def test_an_event_reaches_an_endpoint_once(db: Database, keyring: Keyring) -> None:
    await seed(db, keyring, 1)
    twice = delivery("dlv_twice", event_uid="evt_whk_1_0000")
    with pytest.raises(Exception, match="(?i)unique|duplicate"):
        async with db.transaction() as tx:
            await tx.run_many("insert_deliveries", [delivery_row(twice, "", None, None)])


async def test_old_rows_go_and_what_waits_stays(db: Database, keyring: Keyring) -> None:
    await add_endpoint(db, keyring, endpoint())
    old, new = "000000000064" + "7" * 20, "0000000000c8" + "7" * 20  # made at 100 ms and at 200 ms
    ids = {name: f"dlv_{hex_}{name}" for name, hex_ in (("sent", old), ("waits", old), ("young", new))}
    made = {
        name: delivery(id_, event_uid=f"evt_{id_.removeprefix('dlv_')}", expires_ms=LATER) for name, id_ in ids.items()
    }
    async with db.transaction() as tx:
        await add_deliveries(tx, *made.values())
        await queue.claim(tx, {"whk_1": 3}, 1, "l", LATER)
        await queue.finish(tx, [result(made["sent"], "l"), result(made["young"], "l")], 1)
        await queue.release(tx, [("default", ids["waits"], "l", 0)])
    async with db.transaction() as tx:
        kept = retention.Kept(events=1, attempts=1, dead=1, runs=1, inbox=1, audit=1)
        assert await retention.delete_old(tx, "default", 150 + retention.DAY_MS, kept) == 3
        assert await retention.delete_old(tx, "default", 150 + retention.DAY_MS, kept) == 0
    assert await log.get_delivery(db, "default", ids["sent"]) is None
    assert (await state(db, ids["waits"]))[0] == "pending"
    assert (await state(db, ids["young"]))[0] == "delivered"
    assert len(await log.list_events(db, "default", before=log.LAST, limit=10, filters={})) == 2
