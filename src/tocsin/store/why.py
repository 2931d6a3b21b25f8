"""Reading what was decided, and what became of it: for explanations and previews."""

import msgspec

from tocsin.model.delivery import Words
from tocsin.model.event import Event
from tocsin.model.fate import Fate, Head
from tocsin.model.run import Run
from tocsin.store import rows
from tocsin.store.database import Database, Row

MOST_EVENTS = 1000
"""Of one run."""

MOST_EARLIER = 5000
SLACK_MS = 60_000
"""Processes' clocks may differ by so much: ids that were made that much earlier may belong together."""

_words = msgspec.json.Decoder(Words)


async def fates_of_event(db: Database, tenant_id: str, event_uid: str) -> list[Fate]:
    found = await db.read("fates", {"tenant_id": tenant_id, "event_uid": event_uid}, ("event",))
    return [as_fate(row) for row in found]


async def events_of_run(db: Database, run: Run) -> tuple[list[tuple[Event, str]], list[Fate]]:
    """Its events with their traces, those of later attempts too, oldest first, `MOST_EVENTS` at the most; and their
    deliveries."""
    since = before(run.id, SLACK_MS)
    values = {"tenant_id": run.tenant_id, "pipeline": run.pipeline, "run_id": run.run_id, "since": since}
    found = await db.read("events_of_run", values | {"limit": MOST_EVENTS})
    if not found:
        return [], []
    fates = await db.read("fates", values | {"until": found[-1][1]}, ("run",))
    return [(rows.event(row[:13]), row[13]) for row in found], [as_fate(row) for row in fates]


async def earlier_events(db: Database, tenant_id: str, first_uid: str, within_ms: int) -> list[Event]:
    """Oldest first: what came before the event `first_uid`, within so long, of runs that go on with it or later."""
    values = {"tenant_id": tenant_id, "first": first_uid, "since": before(first_uid, within_ms), "limit": MOST_EARLIER}
    return [rows.event(row) for row in reversed(await db.read("earlier_events", values))]


def before(id_: str, ms: int) -> str:
    """Where the ids of events begin that were made so long before this one: 48 bits of an id are Unix milliseconds."""
    made_ms = int(id_.partition("_")[2][:12], 16)
    return f"evt_{max(0, made_ms - ms):012x}"


def as_fate(row: Row) -> Fate:
    return Fate(
        id=row[0],
        event_uid=row[1],
        endpoint_id=row[2],
        endpoint=row[3],
        rule_id=row[4],
        status=row[5],
        reason=row[6],
        error=row[7],
        attempts=row[8],
        due_ms=row[9],
        delivered_ms=row[10],
        common=_words.decode(row[11]).fold if row[11] else "",
        disabled=row[12],
        paused_until_ms=row[13],
        head=None if row[14] is None else Head(*row[14:19]),
    )
