"""Whether everything that was taken in is accounted for."""

import datetime as dt

from msgspec import Struct
from starlette.responses import Response

from tocsin.store import ledger
from tocsin.store.ledger import DAY_MS, Days
from tocsin.web.routes import Call, Route, number_of, reply, rfc3339, whole

STANDARD_DAYS, MOST_DAYS = 7, 3650


class EventsOut(Struct, frozen=True):
    """`accepted` = `stored` + `removed` (by retention). Nobody was to hear of the `unheard` ones among them."""

    accepted: int
    unheard: int
    stored: int
    removed: int


class DeliveriesOut(Struct, frozen=True):
    """`planned` is the sum of the seven that follow. `folded`: told in another one's message. Of all of them, so many
    were `removed` since by retention."""

    planned: int
    delivered: int
    dead: int
    expired: int
    cancelled: int
    suppressed: int
    folded: int
    waiting: int
    removed: int


class DayOut(Struct, frozen=True):
    """A day (UTC), or a span in which nothing was counted and something is there all the same: then `until` is its last
    day."""

    day: str
    until: str
    events: EventsOut
    deliveries: DeliveriesOut
    differences: tuple[str, ...]


class ReconcileOut(Struct, frozen=True):
    """`differences` names every day on which the sums do not meet; `ok` says that there is none."""

    ok: bool
    at: str | None
    days: tuple[DayOut, ...]
    differences: tuple[str, ...]


def date_of(day: int) -> str:
    return dt.datetime.fromtimestamp(day * DAY_MS / 1000, dt.UTC).date().isoformat()


def named(days: Days) -> list[str]:
    """Its differences, with the day."""
    return [f"{date_of(days.first)}: {difference}" for difference in days.differences]


def shown(days: Days) -> DayOut:
    return DayOut(
        day=date_of(days.first),
        until=date_of(days.last),
        events=EventsOut(days.accepted, days.unheard, days.stored, days.removed_events),
        deliveries=DeliveriesOut(planned=days.planned, **days.fates, removed=days.removed_deliveries),
        differences=tuple(days.differences),
    )


async def reconcile(call: Call) -> Response:
    given = number_of(call, "days", STANDARD_DAYS)
    now_ms = call.app.clock_ms()
    today = now_ms // DAY_MS
    found = await ledger.reconcile(call.app.db, call.tenant_id, today - given + 1, today)
    differences = tuple(said for days in found for said in named(days))
    return reply(ReconcileOut(not differences, rfc3339(now_ms), tuple(map(shown, reversed(found))), differences))


ROUTES = (
    Route(
        method="GET",
        path="/v1/stats/reconcile",
        handler=reconcile,
        summary="Whether what was accepted is accounted for, day by day",
        role="admin",
        answer=ReconcileOut,
        query={"days": whole("So many days back, today among them", MOST_DAYS, STANDARD_DAYS)},
    ),
)
