"""Reading what happened: events, runs, deliveries and attempts; and bringing deliveries back."""

from collections.abc import Iterable
from typing import Any

import msgspec

from tocsin.model.delivery import WAITING
from tocsin.model.event import Event
from tocsin.model.fate import Bundle
from tocsin.model.run import Run
from tocsin.store import rows
from tocsin.store.database import Database, Reader, Row, Transaction

COLUMNS = (
    "id",
    "event_id",
    "event_type",
    "rule_id",
    "webhook_id",
    "provider_type",
    "status",
    "reason",
    "attempts",
    "http_status_code",
    "error_message",
    "due_ms",
    "created_ms",
    "delivered_ms",
    "event_uid",
    "folded_into",
    "folded",
    "head_status",
    "head_reason",
    "pipeline",
    "run_id",
    "duration_ms",
)
"""Of `list_deliveries`, in order."""

NEWEST_RUNS = 2000

LAST = "zzzz"
"""Sorts after every id, in every collation that a database may have: PostgreSQL's usual en_US.UTF-8 puts `~` first."""


INDEXED = frozenset({"retrying", "expired", "cancelled", "suppressed"})
"""States that have an index."""

SCANNED = frozenset({
    "rule_id", "event_type", "provider_type", "pipeline", "pipeline_begins", "reason", "reason_begins", "code_from",
    "code_until", "no_code", "text",
})  # fmt: skip
"""Filters of deliveries that no index leads to."""

FEW = frozenset({"dead", "retrying", "expired", "cancelled", "sending"})
"""States that few deliveries are in, each with an index: what else is asked for is looked for among those."""

MANY = frozenset({"pending", "delivered"})
LED_TO = frozenset({"id", "ids", "event_id", "folded_into", "failed"})

CLOCKS_DIFFER_MS = 86_400_000
"""By so much at the most a delivery's id may be of another time than the delivery says."""


async def list_events(db: Database, tenant_id: str, *, before: str, limit: int, filters: dict[str, Any]) -> list[Event]:
    """Newest first. A filter is one of the query's parts. `since` and `until`: Unix milliseconds."""
    if "since" in filters:
        filters = filters | {"since_uid": event_near(filters["since"], -CLOCKS_DIFFER_MS)}
    if "until" in filters:
        before = min(before, event_near(filters["until"], CLOCKS_DIFFER_MS))
    values = {"tenant_id": tenant_id, "before": before, "limit": limit} | filters
    return [rows.shown_event(row) for row in await db.read("list_events", values, tuple(sorted(filters)))]


async def event_floor(db: Database, tenant_id: str, before: str, many: int, filters: dict[str, Any]) -> str:
    """How far back one page looks for what no index leads to: the id so many events before this one. "" where there are
    not so many, where the filters ask for nothing older, and where they need no looking through."""
    if "run_id" in filters or not filters.keys() - {"since", "until"}:
        return ""
    if "until" in filters:
        before = min(before, event_near(filters["until"], CLOCKS_DIFFER_MS))
    found = await db.read("event_floor", {"tenant_id": tenant_id, "before": before, "many": many})
    floor = str(found[0][0]) if found else ""
    return "" if "since" in filters and floor < event_near(filters["since"], -CLOCKS_DIFFER_MS) else floor


async def newest_event(db: Database, tenant_id: str) -> Event | None:
    found = await list_events(db, tenant_id, before=LAST, limit=1, filters={})
    return found[0] if found else None


async def traces(db: Database, tenant_id: str, uids: Iterable[str]) -> dict[str, str]:
    found = await db.read("traces", {"tenant_id": tenant_id, "uids": rows.text(list(uids))})
    return {str(uid): str(trace) for uid, trace in found}


async def outcomes(db: Database, tenant_id: str, uids: Iterable[str], seen_by: str | None) -> dict[str, list[Bundle]]:
    """By uid, the deliveries of each event that has any. `seen_by` None sees all."""
    values = {"tenant_id": tenant_id, "uids": rows.text(list(uids))}
    found: dict[str, list[Bundle]] = {}
    asked = values | {"sees_all": int(seen_by is None), "seen_by": seen_by or ""}
    for uid, status, head, count, silenced, reason, seen in await db.read("outcomes", asked):
        found.setdefault(uid, []).append(Bundle(status, head, int(count), int(silenced), reason or "", bool(seen)))
    return found


async def find_event(db: Database, tenant_id: str, id_: str, source: str | None) -> tuple[Event, str] | None:
    """The event and its trace, by uid or by the source's own id."""
    if "\x00" in id_ + (source or ""):
        return None
    values = {"tenant_id": tenant_id, "id": id_, "source": source}
    found = await db.read("find_event", values, ("source",) if source else ())
    return (rows.event(found[0][:13]), found[0][13]) if found else None


async def enabled_events(db: Database, tenant_id: str) -> list[tuple[str, str, tuple[str, ...]]]:
    """The endpoints that ask for event types of their own: id, name, types."""
    found = await db.read("config_endpoints", {"tenant_id": tenant_id})
    asking = [(row[0], row[3], rows.strings(row[4])) for row in found]
    return [(id_, name, types) for id_, name, types in asking if types]


def id_near(ms: int, more_ms: int) -> str:
    """Before the ids of deliveries that are made so long after this moment."""
    return f"dlv_{max(0, ms + more_ms):012x}"


def event_near(ms: int, more_ms: int) -> str:
    """The same of events."""
    return f"evt_{max(0, ms + more_ms):012x}"


async def delivery_floor(db: Database, tenant_id: str, before: str, many: int, filters: dict[str, Any]) -> str:
    """How far back one page looks for what no index leads to: the id so many deliveries before. "" where that is all
    there is, or all that the filters ask for, and where an index does lead there."""
    status = filters.get("status", "")
    scans = bool(filters.keys() & SCANNED) and status not in FEW
    scans = scans or (status in MANY and "webhook_id" not in filters) or "waiting" in filters
    if not scans or filters.keys() & LED_TO:
        return ""
    if "until" in filters:
        before = min(before, id_near(filters["until"], CLOCKS_DIFFER_MS))
    found = await db.read("delivery_floor", {"tenant_id": tenant_id, "before": before, "many": many})
    floor = str(found[0][0]) if found else ""
    return "" if "since" in filters and floor < id_near(filters["since"], -CLOCKS_DIFFER_MS) else floor


async def list_deliveries(
    db: Reader, tenant_id: str, *, before: str, limit: int, filters: dict[str, Any]
) -> list[dict[str, Any]]:
    """Newest first. A filter is one of the query's parts. `since`: Unix milliseconds. `pending` finds by an index what
    `status` looks for among the newest: all of it, and not the first few of many."""
    if filters.get("status") == "sending":
        filters = {name: value for name, value in filters.items() if name != "status"} | {"sending": True}
    if filters.get("status") == "dead":
        filters = {name: value for name, value in filters.items() if name != "status"} | {"dead": True}
    if filters.get("status") in INDEXED:
        filters = {name: value for name, value in filters.items() if name != "status"} | {"state": filters["status"]}
    if "since" in filters:
        filters = filters | {"since_id": id_near(filters["since"], -CLOCKS_DIFFER_MS)}
    if "until" in filters:
        before = min(before, id_near(filters["until"], CLOCKS_DIFFER_MS))
    values = {"tenant_id": tenant_id, "before": before, "limit": limit} | filters
    found = await db.read("list_deliveries", values, tuple(sorted(filters)))
    return [as_dict(row) for row in found]


def as_dict(row: Row) -> dict[str, Any]:
    found = dict(zip(COLUMNS, row, strict=True))
    if found["folded_into"] and found["status"] == "suppressed":
        found["reason"] = told_in(found["reason"], found["head_status"], found["head_reason"])
    return found


def told_in(reason: str, head_status: str, head_reason: str) -> str:
    """What became of a message that joined another. `reason` is what planning said: `told in …`."""
    if head_status in WAITING:
        return f"waits to be {reason}"
    if head_status in ("", "delivered"):  # it is gone, as old deliveries go; or it was told
        return reason
    return f"was to be {reason}, but that message is {head_status}" + (f": {head_reason}" if head_reason else "")


async def deliveries_of_event(db: Database, tenant_id: str, event_uid: str) -> list[dict[str, Any]]:
    return await list_deliveries(db, tenant_id, before=LAST, limit=1000, filters={"event_id": event_uid})


async def get_delivery(
    db: Database, tenant_id: str, id_: str, filters: dict[str, str] | None = None
) -> dict[str, Any] | None:
    found = await list_deliveries(db, tenant_id, before=LAST, limit=1, filters={"id": id_} | (filters or {}))
    return found[0] if found else None


async def list_attempts(db: Database, tenant_id: str, delivery_id: str) -> list[Row]:
    return await db.read("list_attempts", {"tenant_id": tenant_id, "delivery_id": delivery_id})


async def replay(tx: Transaction, tenant_id: str, ids: list[str], now_ms: int, expires_ms: int) -> list[str]:
    """Sends these again, each from the start of its schedule. Returns the ids that were not on their way already."""
    done, endpoints = [], set()
    for id_ in ids:
        values = {"tenant_id": tenant_id, "id": id_, "now": now_ms, "expires_ms": expires_ms}
        for found, endpoint_id in await tx.fetch("replay_deliveries", values):
            done.append(found)
            endpoints.add(endpoint_id)
    if endpoints:
        await tx.run_many("wake_endpoints", [(now_ms, endpoint_id) for endpoint_id in sorted(endpoints)])
    return done


async def cancel(tx: Transaction, tenant_id: str, id_: str, reason: str, now_ms: int) -> bool:
    values = {"tenant_id": tenant_id, "id": id_, "reason": reason, "now": now_ms}
    return bool(await tx.fetch("cancel_delivery", values))


async def discard(tx: Transaction, tenant_id: str, ids: Iterable[str], reason: str, now_ms: int) -> int:
    """Says of dead letters and of what expired that nobody wants them. How many it was."""
    values = {"tenant_id": tenant_id, "reason": reason, "now": now_ms}
    return sum([len(await tx.fetch("discard_delivery", values | {"id": id_})) for id_ in ids])


async def list_runs(db: Database, tenant_id: str, *, before: str, limit: int, filters: dict[str, str]) -> list[Run]:
    """Newest first. Those of one pipeline are looked for among the newest of all, and then by the pipeline: one of the
    two is quick."""
    if filters.keys() == {"pipeline"} and (floor := await run_floor(db, tenant_id, before, NEWEST_RUNS)):
        found = await _runs(db, tenant_id, before, limit, filters | {"floor": floor})
        if len(found) >= limit:
            return found
        filters = {"rare_pipeline": filters["pipeline"]}
    return await _runs(db, tenant_id, before, limit, filters)


async def _runs(db: Database, tenant_id: str, before: str, limit: int, filters: dict[str, str]) -> list[Run]:
    values = {"tenant_id": tenant_id, "before": before, "limit": limit} | filters
    return [run_for_people(row) for row in await db.read("list_runs", values, tuple(sorted(filters)))]


async def run_floor(db: Database, tenant_id: str, before: str, many: int) -> str:
    """The id so many runs before this one; "" where there are not so many."""
    found = await db.read("run_floor", {"tenant_id": tenant_id, "before": before, "many": many})
    return str(found[0][0]) if found else ""


async def good_runs(db: Database, tenant_id: str, pipeline: str, many: int) -> list[int]:
    """How long its last good runs took, the newest first, milliseconds."""
    found = await db.read("good_runs", {"tenant_id": tenant_id, "pipeline": pipeline, "limit": many})
    return [int(took) for (took,) in found]


async def good_runs_of(db: Database, tenant_id: str, pipelines: Iterable[str], many: int) -> dict[str, list[int]]:
    """The same of several pipelines, by name."""
    values = {"tenant_id": tenant_id, "pipelines": rows.text(list(pipelines)), "limit": many}
    return {name: msgspec.json.decode(took) for name, took in await db.read("good_runs_of", values)}


async def get_run(db: Database, tenant_id: str, id_: str) -> Run | None:
    found = await db.read("get_run", {"tenant_id": tenant_id, "id": id_})
    return run_for_people(found[0]) if found else None


def run_for_people(row: Row) -> Run:
    """A run whose stages or words cannot be read is shown without them: the rest of it is still worth seeing."""
    for run in rows.readable(rows.run, [row]):
        return run
    return rows.run((*row[:10], "[]", "", *row[12:]))
