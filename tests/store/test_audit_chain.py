"""The chain: whatever is done to it in the store is found, and the first bad entry is named."""

import asyncio

import pytest

from tocsin.model.audit import Act, Actor, changes
from tocsin.store import audit
from tocsin.store.audit import Trail, Verdict, hash_of, head_of, parse_head, verify
from tocsin.store.database import Database
from tocsin.store.sealing import Keyring

pytestmark = pytest.mark.anyio

MIA = Actor("mia", "tok_1", "admin", "10.0.0.1", "req-1", "curl/8")


async def write(db: Database, keyring: Keyring, count: int, tenant_id: str = "default", name: str = "rule") -> None:
    trail = Trail(keyring, lambda: 1_700_000_000_000)
    for number in range(count):
        async with db.transaction() as tx:
            after = {"name": f"{name} {number}", "labels": {"ü": "€"}}
            await trail.add(tx, Act(tenant_id, MIA, "rule.create", "rule", f"rul_{number}", after=after))


async def found(db: Database, keyring: Keyring, head: str = "") -> Verdict:
    return await verify(db, keyring, "default", parse_head(head) if head else None)


async def test_a_whole_trail(db: Database, keyring: Keyring) -> None:
    assert await found(db, keyring) == Verdict(True, 0, 0, 0, None, "whole", "")
    await write(db, keyring, 5)
    await write(db, keyring, 3, "other")
    head = str(await head_of(db, "default"))
    assert await found(db, keyring, head) == Verdict(True, 5, 1, 5, None, "whole", head)


TAMPERINGS = [
    ("UPDATE audit SET actor = 'ben' WHERE number = 3", 3, "changed"),
    ("UPDATE audit SET after = '{}' WHERE number = 1", 1, "changed"),
    ("UPDATE audit SET time_ms = time_ms + 1 WHERE number = 5", 5, "changed"),
    ("UPDATE audit SET outcome = 'denied' WHERE number = 2", 2, "changed"),
    ("UPDATE audit SET tenant_id = 'other' WHERE number = 4", 4, "missing"),
    ("DELETE FROM audit WHERE number = 3", 3, "entries 3 to 3 are missing"),
    ("DELETE FROM audit WHERE number = 1", 1, "entries 1 to 1 are missing"),
    ("DELETE FROM audit WHERE number >= 4", 4, "entries 4 to 5 are missing: the end was cut off"),
    ("DELETE FROM audit", 1, "entries 1 to 5 are missing: the end was cut off"),
    (
        "UPDATE audit SET number = 99 WHERE number = 2; UPDATE audit SET number = 2 WHERE number = 3;"
        "UPDATE audit SET number = 3 WHERE number = 99",
        2,
        "stands where another one stood",
    ),
    ("DELETE FROM audit WHERE number = 2; UPDATE audit SET number = number - 1 WHERE number > 2", 2, "changed"),
    ("UPDATE audit SET seal = hash WHERE number = 5", 5, "a key that is not known"),
    ("UPDATE audit_head SET removed_until = 2", 2, "not Tocsin's"),
    ("DELETE FROM audit WHERE number < 3; UPDATE audit_head SET removed_until = 2", 2, "not Tocsin's"),
]


@pytest.mark.parametrize(("statement", "bad", "words"), TAMPERINGS, ids=[one[0][:60] for one in TAMPERINGS])
async def test_what_is_done_to_it_is_found(
    db: Database, keyring: Keyring, statement: str, bad: int, words: str
) -> None:
    # S26 of the security matrix
    await write(db, keyring, 5)
    await db.script(statement)
    verdict = await found(db, keyring)
    assert (verdict.ok, verdict.bad) == (False, bad)
    assert words in verdict.found
    await write(db, keyring, 1)  # what comes after heals nothing
    assert (await found(db, keyring)).bad == bad


async def test_an_end_cut_off_with_what_remembers_it_is_found_by_a_head_from_elsewhere(
    db: Database, keyring: Keyring
) -> None:
    # S26 of the security matrix
    await write(db, keyring, 3)
    third = await head_of(db, "default")
    assert third is not None
    await write(db, keyring, 2)
    head = str(await head_of(db, "default"))
    await db.script("DELETE FROM audit WHERE number > 3")
    as_it_was = "UPDATE audit_head SET number = 3, hash = (SELECT hash FROM audit WHERE number = 3)"
    await db.script(as_it_was)
    assert (await found(db, keyring)).ok  # nothing in the store tells of it
    verdict = await found(db, keyring, head)
    assert (verdict.bad, verdict.found) == (4, "entries 4 to 5 are missing: the end was cut off")
    assert (await found(db, keyring, str(third))).ok
    await write(db, keyring, 2, name="other")  # in their place
    verdict = await found(db, keyring, head)
    assert (verdict.bad, verdict.found) == (5, "the entry differs from the head given")


async def test_a_chain_made_anew_without_the_key_is_found(db: Database, keyring: Keyring) -> None:
    # S26 of the security matrix
    await write(db, keyring, 4)
    hashes = {entry.number: entry for entry in await audit.after(db, "default", 0)}
    await db.script("UPDATE audit SET actor = 'ben' WHERE number = 2")
    previous = hashes[1].hash
    for entry in (await audit.after(db, "default", 0))[1:]:
        previous = hash_of(previous, entry)
        literal = f"x'{previous.hex()}'" if db.dialect == "sqlite" else f"'\\x{previous.hex()}'::bytea"
        await db.script(f"UPDATE audit SET hash = {literal} WHERE number = {entry.number}")
    await db.script("UPDATE audit_head SET hash = (SELECT hash FROM audit WHERE number = 4)")
    verdict = await found(db, keyring)
    assert (verdict.bad, verdict.found) == (2, "the entry was written by somebody without the key")
    await db.script("UPDATE audit SET seal = hash WHERE number > 1")  # as if another key had sealed it
    assert (await found(db, keyring)).bad == 4
    await write(db, keyring, 1)
    verdict = await found(db, keyring)
    assert (verdict.bad, verdict.found) == (4, "the entry had no seal of a known key when the next one was written")
    assert [entry.action for entry in await audit.after(db, "default", 4)] == [audit.BREAK, "rule.create"]


async def test_an_end_that_was_set_back_stops_nobody_and_is_found(db: Database, keyring: Keyring) -> None:
    await write(db, keyring, 4)
    await db.script("UPDATE audit_head SET number = 2, hash = (SELECT hash FROM audit WHERE number = 2)")
    await write(db, keyring, 1)
    assert [entry.action for entry in await audit.after(db, "default", 4)] == [audit.BREAK, "rule.create"]
    assert (await found(db, keyring)).bad == 4
    await db.script("DELETE FROM audit_head")
    await write(db, keyring, 1)
    assert not (await found(db, keyring)).ok


async def test_a_head_of_somebody_elses_is_refused(db: Database, keyring: Keyring) -> None:
    await write(db, keyring, 2)
    stranger = Keyring((b"x" * 32,), lambda: bytes(12))
    seal = stranger.sign(audit.signed("default", 2, bytes(32)))
    verdict = await found(db, keyring, f"2.{bytes(32).hex()}.{seal.hex()}")
    assert "not one of this trail" in verdict.found
    assert "not known" in (await found(db, stranger)).found


async def test_keys_are_rotated_under_it(db: Database, keyring: Keyring) -> None:
    await write(db, keyring, 2)
    both = Keyring((b"n" * 32, b"k" * 32), lambda: bytes(12))
    await write(db, both, 2)
    assert (await found(db, both)).ok
    new = Keyring((b"n" * 32,), lambda: bytes(12))
    assert (await found(db, new)).ok  # what the new key sealed vouches for all before it
    await db.script("UPDATE audit SET actor = 'ben' WHERE number = 1")
    assert (await found(db, new)).bad == 1


async def test_old_entries_go_and_the_rest_is_still_verified(db: Database, keyring: Keyring) -> None:
    times = iter(range(1000, 9000, 1000))
    trail = Trail(keyring, lambda: next(times))
    for number in range(6):
        async with db.transaction() as tx:
            await trail.add(tx, Act("default", MIA, "rule.create", "rule", f"rul_{number}"))
    early = (await audit.after(db, "default", 0))[1]
    assert await trail.outdated(db, 1000) == []
    assert await trail.outdated(db, 4500) == ["default"]
    async with db.transaction() as tx:
        assert await trail.prune(tx, "default", 4500, 3)  # there may be more
    async with db.transaction() as tx:
        assert not await trail.prune(tx, "default", 4500, 3)
    assert await trail.outdated(db, 4500) == []
    verdict = await found(db, keyring)
    assert (verdict.ok, verdict.first, verdict.last, verdict.entries) == (True, 5, 6, 2)
    assert (await found(db, keyring, f"2.{early.hash.hex()}.{early.seal.hex()}")).ok
    await write(db, keyring, 1)
    await db.script("UPDATE audit SET actor = 'ben' WHERE number = 5")
    assert (await found(db, keyring)).bad == 5
    await db.script("DELETE FROM audit WHERE number = 5; UPDATE audit_head SET removed_until = 5")
    assert (await found(db, keyring)).bad == 5


async def test_the_last_entry_stays_however_old(db: Database, keyring: Keyring) -> None:
    await write(db, keyring, 3)
    trail = Trail(keyring, lambda: 1)
    async with db.transaction() as tx:
        await trail.prune(tx, "default", 2**60, 100)
    assert await trail.outdated(db, 2**60) == []
    verdict = await found(db, keyring)
    assert (verdict.ok, verdict.first, verdict.last) == (True, 3, 3)
    await write(db, keyring, 1)
    assert (await found(db, keyring)).last == 4


async def test_writers_at_the_same_time_make_one_chain(db: Database, keyring: Keyring) -> None:
    await asyncio.gather(*(write(db, keyring, 3) for _ in range(6)))
    verdict = await found(db, keyring)
    assert (verdict.ok, verdict.entries) == (True, 18)


async def test_what_was_undone_is_not_in_it(db: Database, keyring: Keyring) -> None:
    await write(db, keyring, 1)
    with pytest.raises(RuntimeError):
        async with db.transaction() as tx:
            await Trail(keyring, lambda: 1).add(tx, Act("default", MIA, "rule.delete", "rule", "rul_0"))
            raise RuntimeError
    await write(db, keyring, 1)
    assert [entry.action for entry in await audit.after(db, "default", 0)] == ["rule.create"] * 2
    assert (await found(db, keyring)).ok


def test_only_what_differs_is_kept() -> None:
    before, after = {"a": 1, "b": [1], "updated_at": "x"}, {"a": 1, "b": [2], "updated_at": "y", "c": None}
    assert changes(before, after) == ({"b": [1]}, {"b": [2]})
    assert changes(None, after) == (None, after)
    assert changes(before, None) == (before, None)
    assert changes(before, before, ("a",)) == ({"a": 1}, {"a": 1})
    assert changes(None, None) == (None, None)
