"""Another key: everything sealed is sealed anew while servers run; and which key has sealed how much.

What is sealed stands in SEALED, all of it: a test holds it against the schema. Rows are sealed anew in batches, each a
transaction of its own that leaves alone what somebody changed meanwhile; whoever stops in between goes on later. What
tells at the start whether the key is the right one follows at the very end, so that the old key is needed until then.
"""

from collections.abc import Sequence

from msgspec import Struct

from tocsin.model.audit import Act, Actor
from tocsin.store import audit
from tocsin.store.config import KEY_CHECK
from tocsin.store.database import Database, Row
from tocsin.store.sealing import Keyring, Place, WrongKey

ROWS_AT_ONCE = 100
MOST_PASSES = 20
"""What servers seal meanwhile with an older key is found by another pass; after so many, one of them lacks the key."""

SIGNED = "audit (signed)"
"""Entries of the audit trail are signed, not sealed, and keep their signature for good."""


class Sealed(Struct, frozen=True):
    """A table with columns `<name>_sealed`; `many` and `one` are its queries."""

    table: str
    columns: tuple[str, ...]
    many: str
    one: str


SEALED = (
    Sealed("endpoint", ("address", "secret", "headers", "settings"), "sealed_endpoints", "reseal_endpoint"),
    Sealed("secret", ("value",), "sealed_secrets", "reseal_secret"),
    Sealed("answer", ("body",), "sealed_answers", "reseal_answer"),
    Sealed("source", ("secret",), "sealed_sources", "reseal_source"),
    Sealed("flow_execution", ("inputs",), "sealed_flow_executions", "reseal_flow_execution"),
)


class Rotated(Struct, frozen=True):
    """`rows` were sealed anew, and the audit trails of `trails` tenants go on under the new key. `left` names rows that
    no known key opens: they stay as they are."""

    rows: int
    trails: int
    left: tuple[str, ...] = ()


class Use(Struct, frozen=True):
    """How many values of one kind a key (8 hex digits) has sealed. `state`: active, known, or unknown here."""

    key: str
    state: str
    what: str
    count: int


async def rotate(db: Database, keyring: Keyring, trail: audit.Trail, by: Actor) -> Rotated:
    """Safe to stop and to run again, and while servers run that know the active key."""
    done = 0
    for _ in range(MOST_PASSES):
        found = [await reseal_table(db, keyring, table) for table in SEALED]
        done += sum(count for count, _ in found)
        left = tuple(name for _, names in found for name in names)
        if not any(count for count, _ in found):
            break
    trails = await go_on_with_trails(db, keyring, trail, by)
    if not left:
        await reseal_key_check(db, keyring)
    return Rotated(done, trails, left)


async def reseal_table(db: Database, keyring: Keyring, table: Sealed) -> tuple[int, list[str]]:
    """How many rows were not sealed with the active key, and which of them no known key opens."""
    after, count, left = "", 0, []
    while batch := await db.read(table.many, {"after": after, "limit": ROWS_AT_ONCE}):
        after = batch[-1][1]
        changed = []
        for row in batch:
            try:
                changed += resealed(keyring, table, row)
            except WrongKey:
                left.append(f"{table.table} {row[1]} of the tenant {row[0]}")
        if changed:
            count += len(changed)
            async with db.transaction() as tx:
                for values in changed:
                    await tx.fetch(table.one, values)
    return count, left


def resealed(keyring: Keyring, table: Sealed, row: Row) -> list[dict[str, str | bytes | None]]:
    """The values of `reseal_…`; nothing where the active key sealed all of it. Raises WrongKey."""
    tenant_id, id_, *parts = row
    old = [None if part is None else bytes(part) for part in parts]
    if all(sealed is None or keyring.is_current(sealed) for sealed in old):
        return []
    values: dict[str, str | bytes | None] = {"tenant_id": tenant_id, "id": id_}
    for column, sealed in zip(table.columns, old, strict=True):
        where = Place(tenant_id, table.table, id_, column)
        values[column] = None if sealed is None else keyring.seal(keyring.open(sealed, where), where)
        values[f"old_{column}"] = sealed
    return [values]


async def go_on_with_trails(db: Database, keyring: Keyring, trail: audit.Trail, by: Actor) -> int:
    """An entry in each tenant's trail says that the key is another one, and is the first that it signs: without it the
    trail would end with a key that is not known any more."""
    count = 0
    for tenant_id, head in (await audit.heads(db)).items():
        if keyring.is_signed_now(head.seal):
            continue
        async with db.transaction() as tx:
            for _, _, removed, hash_, seal, _ in await tx.fetch("audit_head", {"tenant_id": tenant_id}):
                message = audit.signed(tenant_id, removed, bytes(hash_), "removed")
                if removed and keyring.signed(message, bytes(seal)):
                    values = {"tenant_id": tenant_id, "old_seal": bytes(seal), "seal": keyring.sign(message)}
                    await tx.fetch("reseal_removed_audit", values)
            after = {"key": keyring.active}
            await trail.add(tx, Act(tenant_id, by, "keys.rotate", "key", keyring.active, after=after))
        count += 1
    return count


async def reseal_key_check(db: Database, keyring: Keyring) -> None:
    for (value,) in await db.read("get_meta", {"name": "key_check"}):
        old = bytes.fromhex(value)
        if not keyring.is_current(old):
            new = keyring.seal(keyring.open(old, KEY_CHECK), KEY_CHECK).hex()
            async with db.transaction() as tx:
                await tx.fetch("move_meta", {"name": "key_check", "value": new, "old": value})


async def uses(db: Database, keyring: Keyring) -> list[Use]:
    """By key: the active one first, then what others have sealed."""
    rows = await db.read("count_sealed")
    found = [Use(key, state(keyring, key), what, count) for what, key, count in rows]
    if not any(use.state == "active" for use in found):
        found.append(Use(keyring.active, "active", "nothing yet", 0))
    order = ("active", "known", "unknown")
    return sorted(found, key=lambda use: (order.index(use.state), use.key, use.what))


def state(keyring: Keyring, key: str) -> str:
    return "active" if key == keyring.active else "known" if key in keyring.known else "unknown"


def waits(found: Sequence[Use]) -> int:
    """How many values wait to be sealed with the active key."""
    return sum(use.count for use in found if use.state != "active" and use.what != SIGNED)
