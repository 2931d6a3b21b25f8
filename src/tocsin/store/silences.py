"""Silences: kept, ended, and what they hid. Each change moves the tenant's config version."""

from typing import Any

import msgspec

from tocsin.model.event import Event
from tocsin.model.noise import Hours
from tocsin.model.world import Matcher, Silence
from tocsin.store import rows
from tocsin.store.database import Database, Reader, Row, Transaction

_matchers = msgspec.json.Decoder(tuple[Matcher, ...])
_hours = msgspec.json.Decoder(tuple[Hours, ...])


class Kept(msgspec.Struct, frozen=True):
    """A silence as people see it. `hidden`: how many messages it has kept back."""

    silence: Silence
    comment: str
    created_ms: int
    hidden: int = 0


class Due(msgspec.Struct, frozen=True):
    """A silence that is over, or whose hours are, perhaps."""

    tenant_id: str
    silence: Silence


class Untold(msgspec.Struct, frozen=True):
    """What a silence has kept from an endpoint in all, and how much of it was told of."""

    endpoint_id: str
    count: int
    told: int


class Sent(msgspec.Struct, frozen=True):
    """A message that went out, or waits to."""

    rule_id: str
    endpoint_id: str
    created_ms: int
    event: Event


def silence_of(row: Row) -> Silence:
    """Of the columns that `config_silences` names."""
    id_, matchers, hours, starts_ms, ends_ms, reason, created_by = row
    return Silence(
        id=id_,
        matchers=_matchers.decode(matchers),
        hours=_hours.decode(hours),
        starts_ms=starts_ms,
        ends_ms=ends_ms,
        reason=reason,
        created_by=created_by,
    )


async def config(db: Reader, tenant_id: str) -> tuple[Silence, ...]:
    """All that are not over, those to come included."""
    return tuple(rows.readable(silence_of, await db.read("config_silences", {"tenant_id": tenant_id})))


async def add(tx: Transaction, tenant_id: str, kept: Kept) -> None:
    silence = kept.silence
    values = changeable(tenant_id, kept) | {
        "starts_ms": silence.starts_ms,
        "created_by": silence.created_by,
        "now": kept.created_ms,
    }
    await tx.fetch("insert_silence", values)
    await tx.fetch("bump_config", {"tenant_id": tenant_id})


async def change(tx: Transaction, tenant_id: str, kept: Kept, now_ms: int) -> bool:
    """False where it is over."""
    changed = await tx.fetch("update_silence", changeable(tenant_id, kept) | {"now": now_ms})
    await tx.fetch("bump_config", {"tenant_id": tenant_id})
    return bool(changed)


def changeable(tenant_id: str, kept: Kept) -> dict[str, Any]:
    silence = kept.silence
    return {
        "tenant_id": tenant_id,
        "id": silence.id,
        "matchers": rows.text(silence.matchers),
        "hours": rows.text(silence.hours),
        "ends_ms": silence.ends_ms,
        "reason": silence.reason,
        "comment": kept.comment,
    }


async def end(tx: Transaction, tenant_id: str, id_: str, now_ms: int) -> bool:
    """From now on it hides nothing; the sweep tells what it hid. False where it is over already."""
    ended = await tx.fetch("end_silence", {"tenant_id": tenant_id, "id": id_, "now": now_ms})
    await tx.fetch("bump_config", {"tenant_id": tenant_id})
    return bool(ended)


async def list_(db: Reader, tenant_id: str, *, before: str, limit: int, filters: dict[str, Any]) -> list[Kept]:
    """Newest first. Filters: `id`; `open` and `ended` at a time."""
    values = {"tenant_id": tenant_id, "before": before, "limit": limit} | filters
    found = await db.read("list_silences", values, tuple(sorted(filters)))
    return [Kept(silence_of(row[:7]), *row[7:]) for row in found]


async def due(db: Database, now_ms: int, after: str, limit: int) -> list[Due]:
    """Those that may have something to tell, of all tenants, by their ids."""
    found = await db.read("due_silences", {"now": now_ms, "after": after, "limit": limit})
    return list(rows.readable(due_of, found))


def due_of(row: Row) -> Due:
    return Due(row[0], silence_of(row[1:]))


async def untold(db: Database, tenant_id: str, silence_id: str) -> list[Untold]:
    found = await db.read("untold_hidden", {"tenant_id": tenant_id, "silence_id": silence_id})
    return [Untold(*row) for row in found]


async def hidden_messages(
    db: Database, tenant_id: str, silence_id: str, endpoint_id: str, limit: int
) -> list[tuple[str, str, int]]:
    """(kind, pipeline, how many) of the newest messages that it kept from this endpoint, the most first."""
    values = {
        "tenant_id": tenant_id,
        "endpoint_id": endpoint_id,
        "since": since_id(silence_id),
        "reason": f"%({silence_id})",
        "limit": limit,
    }
    return [(kind, pipeline, many) for kind, pipeline, many in await db.read("hidden_messages", values)]


def since_id(silence_id: str) -> str:
    """No delivery that this silence hid has a smaller id: ids begin with the time. Clocks may differ by an hour."""
    made_ms = int(silence_id.partition("_")[2][:12], 16)
    return f"dlv_{max(0, made_ms - 3_600_000):012x}"


async def note_told(tx: Transaction, tenant_id: str, silence_id: str, untold: Untold) -> None:
    values = {"tenant_id": tenant_id, "silence_id": silence_id, "endpoint_id": untold.endpoint_id}
    await tx.fetch("note_told", values | {"count": untold.count})


async def finish(tx: Transaction, tenant_id: str, silence_id: str, now_ms: int) -> None:
    """Everything about it was told."""
    if await tx.fetch("finish_silence", {"tenant_id": tenant_id, "id": silence_id, "now": now_ms}):
        await tx.fetch("bump_config", {"tenant_id": tenant_id})


async def sent_lately(db: Database, tenant_id: str, since_ms: int, limit: int) -> list[Sent]:
    """What was not suppressed since then, newest first."""
    values = {"tenant_id": tenant_id, "since": f"dlv_{since_ms:012x}", "limit": limit}
    found = await db.read("sent_lately", values)
    events = {row[4]: rows.event(row[3:]) for row in {row[4]: row for row in found}.values()}
    return [Sent(row[0], row[1], row[2], events[row[4]]) for row in found]
