"""Numbers for people who look: how many deliveries, by when, where to, why and how they ended; what needs somebody."""

import asyncio
import math
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Sequence
from sys import intern
from typing import Any

import msgspec
from msgspec import Struct

from tocsin.store import rows
from tocsin.store.database import Database

MOST = 1000
"""Counts that only have to say that there are many stop here."""

NEWEST_DEAD = 10_000
"""So many dead letters, the newest, are looked at: what one replay takes."""

LATENCIES = 1000
LATENCIES_OF_ENDPOINT = 100
NEWEST_RUNS = 2000
"""Runs that are looked at for the pipelines that ran last."""

REMEMBERED = 100_000
"""Counts that a process keeps, some 15 MB."""

AGE_SHARE = 30
"""What ended half an hour ago is counted anew after a minute, what ended yesterday after 48."""

CHANGING_MS = 900_000
"""What was made in the last quarter of an hour is counted each time."""

HALF_HOUR_MS = 1_800_000
DAY_MS = 86_400_000

DAY = DAY_MS // HALF_HOUR_MS
AT_A_TIME = 8
"""Slices that one query counts: PostgreSQL sorts more than some 50,000 deliveries on disk."""

MOST_WARM = 50
"""Tenants whose numbers a process counts before anybody looks."""

COST_SHARE = 50
"""Counting takes a fiftieth of the time at the most."""


class Count(Struct, frozen=True, array_like=True, gc=False):
    """So many deliveries of one slice of time. `status`: as in model/delivery.py, or `folded`: told in another one's
    message."""

    endpoint_id: str
    rule_id: str
    status: str
    count: int


class Slices(Struct, frozen=True):
    """Spans of `width_ms` that follow each other, the first at a multiple of it."""

    first_ms: int
    width_ms: int
    number: int

    @property
    def end_ms(self) -> int:
        return self.first_ms + self.width_ms * self.number

    def starts(self) -> list[int]:
        return list(range(self.first_ms, self.end_ms, self.width_ms))


def together(places: Sequence[int], most: int = 1000) -> list[tuple[int, int]]:
    """The first and last of those that follow each other, so many at the most."""
    found: list[tuple[int, int]] = []
    for place in places:
        if found and found[-1][1] == place - 1 and place - found[-1][0] < most:
            found[-1] = (found[-1][0], place)
        else:
            found.append((place, place))
    return found


def summed(parts: Iterable[tuple[int, tuple[Count, ...]]]) -> tuple[Count, ...]:
    sums: Counter[tuple[str, str, str]] = Counter()
    for _, counts in parts:
        for one in counts:
            sums[one.endpoint_id, one.rule_id, one.status] += one.count
    return tuple(Count(*place, count) for place, count in sums.items())


def id_at(ms: int) -> str:
    """Before the id of every delivery made at this moment or later."""
    return f"dlv_{max(ms, 0):012x}"


class Tallies:
    """Counts deliveries half an hour at a time, or in narrower slices, and remembers each slice for as long as it is
    old: what is over hardly changes. A slice is counted anew after a thirtieth of its age, and not before fifty times
    as long has passed as counting took; what is new each time, where that is cheap. Wider slices are sums of half
    hours. Counting a day of 200,000 deliveries takes some 0.3 s: `warm` does it before anybody looks."""

    def __init__(self, db: Database, clock_ms: Callable[[], int]) -> None:
        self.db = db
        self.clock_ms = clock_ms
        self.known: OrderedDict[tuple[str, int, int], tuple[int, tuple[Count, ...]]] = OrderedDict()
        self.kept = 0

    async def of(self, tenant_id: str, slices: Slices) -> list[tuple[Count, ...]]:
        """The counts of each slice, of the whole tenant: whoever shows them leaves out what somebody must not see."""
        width_ms, now_ms = slices.width_ms, self.clock_ms()
        if width_ms > HALF_HOUR_MS and not (width_ms % HALF_HOUR_MS or slices.first_ms % HALF_HOUR_MS):
            return [found[1] for found in await self._sums(tenant_id, slices, now_ms)]
        return [found[1] for found in await self._each(tenant_id, slices, now_ms)]

    async def _sums(self, tenant_id: str, slices: Slices, now_ms: int) -> list[tuple[int, tuple[Count, ...]]]:
        found = [self._remembered(tenant_id, slices.width_ms, start) for start in slices.starts()]
        parts = slices.width_ms // HALF_HOUR_MS
        for first, last in together([place for place, (until_ms, _) in enumerate(found) if until_ms <= now_ms]):
            first_ms = slices.first_ms + first * slices.width_ms
            number = min((last - first + 1) * parts, (now_ms - first_ms) // HALF_HOUR_MS + 1)  # none is of the future
            halves = await self._each(tenant_id, Slices(first_ms, HALF_HOUR_MS, max(0, number)), now_ms)
            for place in range(first, last + 1):
                some = halves[(place - first) * parts : (place - first + 1) * parts]
                found[place] = (min((until_ms for until_ms, _ in some), default=0), summed(some))
                self._keep((tenant_id, slices.width_ms, slices.starts()[place]), found[place])
        return found

    async def _each(self, tenant_id: str, slices: Slices, now_ms: int) -> list[tuple[int, tuple[Count, ...]]]:
        """With the time until which each is known."""
        starts, width_ms = slices.starts(), slices.width_ms
        found = [self._remembered(tenant_id, width_ms, start) for start in starts]
        missing = [place for place, (until_ms, _) in enumerate(found) if until_ms <= now_ms]
        for first, last in together(missing, AT_A_TIME):
            began_ms = self.clock_ms()
            counted = await self._count(tenant_id, Slices(starts[first], width_ms, last - first + 1))
            took_ms = (self.clock_ms() - began_ms) // len(counted)
            for place, counts in enumerate(counted, first):
                age_ms = max(0, now_ms - starts[place] - width_ms - CHANGING_MS)
                found[place] = (now_ms + max(age_ms // AGE_SHARE, took_ms * COST_SHARE), counts)
                self._keep((tenant_id, width_ms, starts[place]), found[place])
        return found

    async def warm(self) -> None:
        """Counts the last day, then the last week, of tenants that have had deliveries lately: nobody's first look is
        to wait for it. It takes a fifth of the time."""
        now_ms, loop = self.clock_ms(), asyncio.get_running_loop()
        since = id_at(now_ms - DAY_MS)
        tenants = [row[0] for row in await self.db.read("busy_tenants", {"since": since, "limit": MOST_WARM})]
        newest = now_ms // HALF_HOUR_MS
        for first, end in ((newest - DAY, newest + 1), (newest - 7 * DAY - 4, newest - DAY)):
            for tenant_id in tenants:
                for start in range(first, end, AT_A_TIME):
                    began_s = loop.time()
                    slices = Slices(start * HALF_HOUR_MS, HALF_HOUR_MS, min(AT_A_TIME, end - start))
                    await self._each(tenant_id, slices, self.clock_ms())
                    await asyncio.sleep(4 * (loop.time() - began_s))

    def _remembered(self, tenant_id: str, width_ms: int, start_ms: int) -> tuple[int, tuple[Count, ...]]:
        return self.known.get((tenant_id, width_ms, start_ms), (0, ()))

    async def _count(self, tenant_id: str, slices: Slices) -> list[tuple[Count, ...]]:
        first_ms, width_ms, number = slices.first_ms, slices.width_ms, slices.number
        values = {
            "tenant_id": tenant_id,
            "width_ms": width_ms,
            "first_id": id_at(first_ms),
            "end_id": id_at(slices.end_ms),
        }
        found: list[list[Count]] = [[] for _ in range(number)]
        for start, endpoint_id, rule_id, status, many in await self.db.read("tally_slices", values):
            # What was made in the last millisecond of a slice may say that it was made in the next one.
            found[min(max(start - first_ms // width_ms, 0), number - 1)].append(
                Count(intern(endpoint_id), intern(rule_id), intern(status), many)
            )
        return [tuple(counts) for counts in found]

    def _keep(self, key: tuple[str, int, int], found: tuple[int, tuple[Count, ...]]) -> None:
        before = self.known.pop(key, None)
        self.kept += len(found[1]) + 1 - (len(before[1]) + 1 if before else 0)
        self.known[key] = found
        while self.kept > REMEMBERED:
            _, (_, gone) = self.known.popitem(last=False)
            self.kept -= len(gone) + 1


class Latency(Struct, frozen=True):
    endpoint_id: str
    rule_id: str
    duration_ms: int


async def latencies(
    db: Database, tenant_id: str, since_ms: int, endpoint_id: str = "", limit: int = LATENCIES
) -> list[Latency]:
    """How long the last attempt took of those that arrived among the newest deliveries since then."""
    values = {"tenant_id": tenant_id, "since": id_at(since_ms), "limit": limit}
    filters = {"endpoint_id": endpoint_id} if endpoint_id else {}
    return [Latency(*row) for row in await db.read("newest_latencies", values | filters, tuple(filters))]


def quantile(values: Iterable[int], share: float) -> int | None:
    """The smallest of `values` that `share` of them are not above; None of none."""
    in_order = sorted(values)
    return in_order[max(0, math.ceil(len(in_order) * share) - 1)] if in_order else None


class EndpointState(Struct, frozen=True):
    id: str
    name: str
    provider_type: str
    is_active: bool
    disabled_reason: str
    consecutive_failures: int
    last_used_ms: int | None
    last_error: str

    @property
    def is_failing(self) -> bool:
        """Tocsin has switched it off, or the last deliveries to it have failed."""
        return bool(self.disabled_reason) or (self.is_active and self.consecutive_failures > 0)


async def endpoint_states(
    db: Database, tenant_id: str, limit: int, scope: dict[str, str], ids: Sequence[str] | None = None
) -> list[EndpointState]:
    """Those in trouble first. `scope`: the filter of whom they are shown to."""
    values: dict[str, Any] = {"tenant_id": tenant_id, "limit": limit} | scope
    values |= {"ids": rows.text(list(ids))} if ids is not None else {}
    names = tuple(name for name in ("ids", "seen_by") if name in values)
    found = await db.read("endpoint_states", values, names)
    return [EndpointState(row[0], row[1], row[2], bool(row[3]), *row[4:8]) for row in found]


async def latencies_of(db: Database, tenant_id: str, since_ms: int, ids: Iterable[str]) -> dict[str, list[int]]:
    """By endpoint: how long the last attempt took of those that arrived among its newest 100 deliveries since then."""
    values = {"tenant_id": tenant_id, "since": id_at(since_ms), "limit": LATENCIES_OF_ENDPOINT}
    found = await db.read("latencies_of", values | {"ids": rows.text(list(ids))})
    return {id_: msgspec.json.decode(took) for id_, took in found}


async def failing_since(db: Database, tenant_id: str, ids: Iterable[str]) -> dict[str, int | None]:
    """By endpoint: when the oldest was made of the deliveries that failed, or wait, since the last one that got there;
    as far as its newest 1,000 know."""
    values = {"tenant_id": tenant_id, "ids": rows.text(list(ids)), "limit": MOST}
    return dict(await db.read("failing_since", values))


async def rule_names(db: Database, tenant_id: str, ids: Iterable[str]) -> dict[str, str]:
    return {
        row[0]: row[1] for row in await db.read("rule_names", {"tenant_id": tenant_id, "ids": rows.text(list(ids))})
    }


class Attention(Struct, frozen=True):
    """What needs somebody, each up to 1000."""

    retrying: int
    dead: int
    failing: int
    silences: int
    unread: int


async def attention(db: Database, tenant_id: str, scope: dict[str, str], user_id: str, now_ms: int) -> Attention:
    """`scope`: the filter of whom it is shown to."""
    values = {"tenant_id": tenant_id, "limit": MOST} | scope
    names = tuple(scope)
    ((retrying,),) = await db.read("count_retrying", values, names)
    ((dead,),) = await db.read("count_dead", values | {"newest": NEWEST_DEAD}, names)
    ((failing,),) = await db.read("count_failing", values, names)
    asked = {"tenant_id": tenant_id, "limit": MOST}
    ((silences,),) = await db.read("count_active_silences", asked | {"now": now_ms})
    ((unread,),) = await db.read("count_unread_up_to", asked | {"user_id": user_id}) if user_id else ((0,),)
    return Attention(retrying, dead, failing, silences, unread)


async def next_retry_ms(db: Database, tenant_id: str, scope: dict[str, str]) -> int | None:
    ((due_ms,),) = await db.read("next_retry", {"tenant_id": tenant_id} | scope, tuple(scope))
    return None if due_ms is None else int(due_ms)


class DeadGroup(Struct, frozen=True):
    """Dead letters of one endpoint with one reason. `newest_id`: of the delivery that came last."""

    endpoint_id: str
    provider_type: str
    reason: str
    count: int
    oldest_ms: int
    newest_ms: int
    newest_id: str


async def dead_groups(db: Database, tenant_id: str, scope: dict[str, str]) -> list[DeadGroup]:
    values = {"tenant_id": tenant_id, "newest": NEWEST_DEAD} | scope
    return [DeadGroup(*row) for row in await db.read("dead_groups", values, tuple(scope))]


async def last_delivered(db: Database, tenant_id: str, ids: Iterable[str]) -> dict[str, int]:
    """When something last got to each of these endpoints, Unix milliseconds, as the newest 100 deliveries of each
    know."""
    values = {"tenant_id": tenant_id, "ids": rows.text(list(ids)), "newest": 100}
    return {id_: at_ms for id_, at_ms in await db.read("last_delivered", values) if at_ms is not None}


class RunCell(Struct, frozen=True):
    id: str
    run_id: str
    attempt: int
    status: str
    started_ms: int | None
    finished_ms: int | None
    error: str

    @property
    def duration_s(self) -> float | None:
        if self.started_ms is None or self.finished_ms is None:
            return None
        return max(0, self.finished_ms - self.started_ms) / 1000


async def newest_pipelines(db: Database, tenant_id: str, pipelines: int, runs: int) -> list[tuple[str, list[RunCell]]]:
    """The pipelines that ran last, among the newest 2,000 runs, with the last runs of each, the newest first."""
    values = {"tenant_id": tenant_id, "newest": NEWEST_RUNS, "limit": pipelines}
    names = [name for name, _ in await db.read("newest_pipelines", values)]
    asked = {"tenant_id": tenant_id, "pipelines": rows.text(names), "limit": runs}
    runs_of: dict[str, str] = dict(await db.read("newest_runs", asked)) if names else {}
    return [(name, [RunCell(*run) for run in msgspec.json.decode(runs_of[name])]) for name in names]
