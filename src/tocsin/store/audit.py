"""The audit trail: a chain of entries for each tenant.

An entry's hash is SHA-256 over the hash before it and everything in it, so that an entry that is changed, removed or
moved breaks the chain there. Its seal is an HMAC over the hash with a key that is not in the store, so that whoever
can write to the store still cannot make a chain anew. What a chain cannot tell by itself is that its end was cut off,
together with the row that says where it ended: for that a head (`head_of`), kept elsewhere, is held against it.

Who appends looks at the seal before, for a new seal vouches for all of the chain: a chain that somebody made without
the key gets an entry that says so (BREAK).
"""

import hashlib
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import replace

from tocsin.model.audit import ITSELF, Act, Entry, short, text
from tocsin.store.database import Database, Row, Transaction
from tocsin.store.sealing import Keyring

START = bytes(32)
"""The hash before the first entry."""

BREAK = "audit.break"
"""The action of an entry that was appended to one without a seal of ours."""

PAGE = 1000
ENDLESS = 2**62
"""A number behind all entries."""

log = structlog.get_logger()


class Trail:
    """Appends. `counts` are the entries of this process, by outcome."""

    def __init__(self, keyring: Keyring, clock_ms: Callable[[], int]) -> None:
        self.keyring = keyring
        self.clock_ms = clock_ms
        self.counts: Counter[str] = Counter()

    async def add(self, tx: Transaction, act: Act) -> None:
        """In the transaction of the change itself. Call it last in there: it holds the tenant's trail until the end."""
        values = {"tenant_id": act.tenant_id, "start": START, "nothing": b""}
        number, previous = (await tx.fetch("lock_audit", values))[0]
        last = await tx.fetch("audit_last", {"tenant_id": act.tenant_id})
        if not self._is_end(act.tenant_id, number, bytes(previous), last):
            there = last[0][0] if last else 0
            reason = f"The end should be entry {number}, sealed with a known key; the last one there is {there}"
            entry = self._entry(Act(act.tenant_id, ITSELF, BREAK, "audit", str(number), reason=reason), number + 1)
            if there > number:  # the store's memory of the end was set back
                entry, previous = replace(entry, number=there + 1), last[0][1]
            number, previous = entry.number, await self._put(tx, bytes(previous), entry)
            log.error("audit.break", tenant=act.tenant_id, number=number, reason=reason)
        await self._put(tx, bytes(previous), self._entry(act, number + 1))
        self.counts[act.outcome] += 1

    async def outdated(self, db: Database, before_ms: int) -> list[str]:
        """The tenants that have entries older than this."""
        return [row[0] for row in await db.read("audit_outdated", {"before_ms": before_ms})]

    async def prune(self, tx: Transaction, tenant_id: str, before_ms: int, limit: int) -> bool:
        """Removes the oldest entries, down to the last one, which stays; notes, sealed, which and the hash that the
        chain goes on from. Returns whether there may be more."""
        await tx.fetch("lock_audit", {"tenant_id": tenant_id, "start": START, "nothing": b""})
        head, _, removed, *_ = (await tx.fetch("audit_head", {"tenant_id": tenant_id}))[0]
        values = {"tenant_id": tenant_id, "removed": removed, "until": removed + limit, "head": head}
        found = await tx.fetch("audit_removable", values | {"before_ms": before_ms})
        if not found:
            return False
        until, hash_ = found[0][0], bytes(found[0][1])
        seal = self.keyring.sign(signed(tenant_id, until, hash_, "removed"))
        noted = {"tenant_id": tenant_id, "until": until, "hash": hash_, "seal": seal, "now": self.clock_ms()}
        await tx.fetch("delete_audit", {"tenant_id": tenant_id, "until": until})
        await tx.fetch("note_audit_removed", noted)
        log.info("audit.removed", tenant=tenant_id, until=until)
        return bool(until == removed + limit)

    def _is_end(self, tenant_id: str, number: int, hash_: bytes, last: list[Row]) -> bool:
        """Whether the last entry that is there is the one that the store remembers, and is sealed by us."""
        if not last:
            return number == 0
        there, its_hash, seal = last[0]
        is_known = (there, bytes(its_hash)) == (number, hash_)
        return is_known and self.keyring.signed(signed(tenant_id, number, hash_), bytes(seal)) is True

    async def _put(self, tx: Transaction, previous: bytes, entry: Entry) -> bytes:
        """Returns its hash."""
        hash_ = hash_of(previous, entry)
        entry = replace(entry, hash=hash_, seal=self.keyring.sign(signed(entry.tenant_id, entry.number, hash_)))
        await tx.fetch("insert_audit", msgspec.structs.asdict(entry))
        await tx.fetch("move_audit_head", {"tenant_id": entry.tenant_id, "number": entry.number, "hash": hash_})
        return hash_

    def _entry(self, act: Act, number: int) -> Entry:
        actor = act.actor
        return Entry(
            tenant_id=act.tenant_id,
            number=number,
            time_ms=self.clock_ms(),
            actor=short(actor.name),
            token_id=short(actor.token_id),
            role=actor.role,
            address=short(actor.address),
            request_id=short(actor.request_id),
            user_agent=short(actor.user_agent),
            action=act.action,
            kind=act.kind,
            object_id=short(act.object_id),
            outcome=act.outcome,
            reason=short(act.reason),
            before=text(act.before),
            after=text(act.after),
            hash=b"",
            seal=b"",
        )


def hash_of(previous: bytes, entry: Entry) -> bytes:
    """Over the hash before and all columns but `hash` and `seal`, as a JSON list in the order of the columns."""
    columns = msgspec.structs.astuple(entry)[:-2]
    return hashlib.sha256(previous + msgspec.json.encode(columns)).digest()


def signed(tenant_id: str, number: int, hash_: bytes, purpose: str = "audit") -> bytes:
    return f"{purpose}\x1f{tenant_id}\x1f{number}\x1f".encode() + hash_


def entry_of(row: tuple[Any, ...]) -> Entry:
    """Of the columns that `list_audit` names."""
    columns: Any = (*row[:-2], bytes(row[-2]), bytes(row[-1]))
    return Entry(*columns)


async def list_(db: Database, tenant_id: str, *, before: int, limit: int, filters: dict[str, Any]) -> list[Entry]:
    """Newest first."""
    values = {"tenant_id": tenant_id, "before_number": before, "limit": limit} | filters
    return [entry_of(row) for row in await db.read("list_audit", values, tuple(sorted(filters)))]


async def after(db: Database, tenant_id: str, number: int, limit: int = PAGE) -> list[Entry]:
    """Oldest first."""
    found = await db.read("audit_from", {"tenant_id": tenant_id, "after": number, "limit": limit})
    return [entry_of(row) for row in found]


class Head(Struct, frozen=True):
    """The end of a trail, as somebody wrote it down: `number.hash.seal`, in hex. To keep where the store is not."""

    number: int
    hash: bytes
    seal: bytes

    def __str__(self) -> str:
        return f"{self.number}.{self.hash.hex()}.{self.seal.hex()}"


def parse_head(given: str) -> Head:
    """Raises ValueError."""
    number, hash_, seal = given.strip().split(".")
    if not number.isascii() or not number.isdigit() or len(number) > 18 or len(hash_) != 64:
        raise ValueError("not a head")
    return Head(int(number), bytes.fromhex(hash_), bytes.fromhex(seal))


async def heads(db: Database) -> dict[str, Head]:
    """Of every tenant that has entries."""
    found = await db.read("audit_heads")
    return {tenant_id: Head(number, bytes(hash_), bytes(seal)) for tenant_id, number, hash_, seal in found}


async def head_of(db: Database, tenant_id: str) -> Head | None:
    newest = await list_(db, tenant_id, before=ENDLESS, limit=1, filters={})
    return Head(newest[0].number, newest[0].hash, newest[0].seal) if newest else None


class Verdict(Struct, frozen=True):
    """Whether a trail is whole. `entries` were looked at, from `first` to `last`; `bad` is the first one that is not as
    it was written (None: all are), and `found` says what is wrong with it. `head` is the end, to be kept elsewhere."""

    ok: bool
    entries: int
    first: int
    last: int
    bad: int | None
    found: str
    head: str


async def verify(db: Database, keyring: Keyring, tenant_id: str, known: Head | None = None) -> Verdict:
    """Reads the whole trail. `known` is a head from elsewhere: what it tells of must be there and be the same."""
    verdict = await _verify(db, keyring, tenant_id, known)
    if not verdict.ok and verdict.entries == 0:
        verdict = await _verify(db, keyring, tenant_id, known)  # old entries may have been removed while we read
    return verdict


async def _verify(db: Database, keyring: Keyring, tenant_id: str, known: Head | None) -> Verdict:
    stored = await db.read("audit_head", {"tenant_id": tenant_id})
    end, end_hash, removed, removed_hash, removed_seal, _ = stored[0] if stored else (0, START, 0, START, b"", 0)
    number, previous = removed, bytes(removed_hash)
    seal = b""
    count = 0

    def verdict(bad: int | None, found: str) -> Verdict:
        head = str(Head(number, previous, seal)) if seal else ""
        return Verdict(bad is None, count, removed + 1 if count else 0, number if count else 0, bad, found, head)

    if removed and keyring.signed(signed(tenant_id, removed, previous, "removed"), bytes(removed_seal)) is not True:
        return verdict(removed, "what says which old entries were removed is not Tocsin's")
    if not removed and previous != START:
        return verdict(1, "the beginning was changed")
    if known is not None and keyring.signed(signed(tenant_id, known.number, known.hash), known.seal) is not True:
        return verdict(known.number, "the head given is not one of this trail, or was sealed with another key")
    is_met = known is None or known.number <= removed
    while page := await after(db, tenant_id, number):
        for entry in page:
            if entry.number != number + 1:
                return verdict(number + 1, f"entries {number + 1} to {entry.number - 1} are missing")
            hash_ = hash_of(previous, entry)
            if hash_ != entry.hash:
                return verdict(entry.number, "the entry was changed, or stands where another one stood")
            if keyring.signed(signed(tenant_id, entry.number, hash_), entry.seal) is False:
                return verdict(entry.number, "the entry was written by somebody without the key")
            if entry.action == BREAK:
                return verdict(entry.number - 1, "the entry had no seal of a known key when the next one was written")
            if entry.number == end and hash_ != bytes(end_hash):
                return verdict(entry.number, "the end that the store remembers is another one")
            if known is not None and entry.number == known.number:
                if hash_ != known.hash:
                    return verdict(entry.number, "the entry differs from the head given")
                is_met = True
            number, previous, seal, count = entry.number, hash_, entry.seal, count + 1
    if number < end:
        return verdict(number + 1, f"entries {number + 1} to {end} are missing: the end was cut off")
    if known is not None and not is_met:
        return verdict(number + 1, f"entries {number + 1} to {known.number} are missing: the end was cut off")
    if seal and keyring.signed(signed(tenant_id, number, previous), seal) is not True:
        return verdict(number, "the last entry is sealed with a key that is not known: check TOCSIN_SECRET_KEY")
    return verdict(None, "whole")
