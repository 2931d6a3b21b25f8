"""What is new in a tenant, for those who watch it live."""

from typing import Any

from msgspec import Struct

from tocsin.model.event import Event
from tocsin.model.run import Run
from tocsin.store import log, rows
from tocsin.store.database import Database

State = tuple[str, str, int]
"""A delivery: its id, status and number of attempts."""


class News(Struct, frozen=True):
    """Ids of new events in order; deliveries that are new, and those that were asked for, as they are now."""

    events: list[str]
    deliveries: list[State]


async def ends(db: Database, tenant_id: str) -> tuple[str, str]:
    """The newest event's and the newest delivery's id, "" where there is none."""
    ((event, delivery),) = await db.read("stream_ends", {"tenant_id": tenant_id})
    return event, delivery


async def waiting(db: Database, tenant_id: str, limit: int) -> list[str]:
    return [row[0] for row in await db.read("stream_waiting", {"tenant_id": tenant_id, "limit": limit})]


async def news(db: Database, tenant_id: str, event: str, delivery: str, watched: list[str], limit: int) -> News:
    """After these ids, `limit` of each; and the state of the deliveries `watched`."""
    values = {"tenant_id": tenant_id, "event": event, "delivery": delivery, "limit": limit}
    found = await db.read("stream_news", values | {"watched": rows.text(watched)})
    deliveries = {row[0]: (row[0], row[1], row[2]) for row in found if row[1]}
    return News([row[0] for row in found if not row[1]], list(deliveries.values()))


async def missed(db: Database, tenant_id: str, first: str, since_ms: int, most: int, limit: int) -> list[State]:
    """Deliveries after the id `first` that changed since then, of the newest `most`."""
    values = {"tenant_id": tenant_id, "first": first, "since": since_ms, "most": most, "limit": limit}
    return [(row[0], row[1], row[2]) for row in await db.read("stream_missed", values)]


async def events(db: Database, tenant_id: str, uids: list[str]) -> list[Event]:
    filters = {"uids": rows.text(uids)}
    return (await log.list_events(db, tenant_id, before=log.LAST, limit=len(uids), filters=filters))[::-1]


async def runs(db: Database, tenant_id: str, keys: set[tuple[str, str]]) -> list[Run]:
    """The newest attempt of each (pipeline, run_id)."""
    filters = {"keys": rows.text(sorted(keys))}
    newest: dict[tuple[str, str], Run] = {}
    for run in await log.list_runs(db, tenant_id, before=log.LAST, limit=10 * len(keys), filters=filters):
        known = newest.get((run.pipeline, run.run_id))
        if known is None or known.attempt < run.attempt:
            newest[run.pipeline, run.run_id] = run
    return list(newest.values())


async def deliveries(db: Database, tenant_id: str, ids: list[str]) -> list[dict[str, Any]]:
    filters = {"ids": rows.text(ids)}
    return (await log.list_deliveries(db, tenant_id, before=log.LAST, limit=len(ids), filters=filters))[::-1]


async def pipelines(db: Database, tenant_id: str, uids: set[str]) -> dict[str, str]:
    """Of events, by their uids."""
    found = await events(db, tenant_id, sorted(uids)) if uids else []
    return {event.uid: event.pipeline for event in found}


async def owners(db: Database, tenant_id: str) -> dict[str, str]:
    """Whose each endpoint is: a user, or "" for the tenant's own."""
    return {row[0]: row[1] for row in await db.read("config_endpoints", {"tenant_id": tenant_id})}
