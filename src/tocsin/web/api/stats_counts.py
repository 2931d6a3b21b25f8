"""Numbers for charts: deliveries over time, endpoints, rules, pipelines. Everybody sees what their deliveries say."""

from collections import Counter
from collections.abc import Iterable, Sequence

from msgspec import Struct
from starlette.responses import Response

from tocsin.model.errors import Invalid
from tocsin.store import stats
from tocsin.store.stats import Count, Slices
from tocsin.web.ownership import hidden_endpoints, is_hidden_rule, seen_by
from tocsin.web.replies import sees_words, status_alone
from tocsin.web.routes import Call, Route, filters_of, number_of, reply, rfc3339, whole

HOUR_MS = 3_600_000
STANDARD_HOURS, MOST_HOURS = 24, 168
STANDARD_BUCKETS, MOST_BUCKETS = 48, 96
CELL_MS = HOUR_MS // 2
CELLS = 48
RULE_DAYS = 7
MOST_ENDPOINTS = 100
STANDARD_RUNS, MOST_RUNS = 20, 50


class Ends(Struct, frozen=True):
    """How deliveries ended. `waiting`: pending, sending or retrying; `failed`: dead letters and expired ones;
    `suppressed`: held back by a rule's limit, a silence or a preference; `folded`: told in another one's message."""

    delivered: int = 0
    waiting: int = 0
    failed: int = 0
    suppressed: int = 0
    folded: int = 0
    cancelled: int = 0


class Bucket(Struct, frozen=True):
    """What was made in the span that begins at `at`."""

    at: str | None
    ends: Ends


class LatencyOut(Struct, frozen=True):
    """How long the last attempt took of the newest deliveries that arrived: `of` so many, 1,000 at the most."""

    p50_ms: int | None
    p95_ms: int | None
    of: int


class DeliveryStats(Struct, frozen=True):
    """`since` to `until`, in buckets of `bucket_s` seconds, the oldest first; `totals` is the sum of them. Buckets that
    are over are counted anew after a thirtieth of their age."""

    since: str | None
    until: str | None
    bucket_s: int
    totals: Ends
    buckets: tuple[Bucket, ...]
    latency: LatencyOut


class EndpointStats(Struct, frozen=True):
    """An endpoint in the last 24 hours, in `cells` of half an hour, the oldest first. `is_failing`: Tocsin switched it
    off, or the last deliveries failed; then `failing_since` is when the first of them was made, as far as its newest
    1,000 deliveries know. `last_at`: when it was last tried."""

    id: str
    name: str
    provider_type: str
    is_active: bool
    is_failing: bool
    failing_since: str | None
    disabled_reason: str
    consecutive_failures: int
    last_error: str
    last_at: str | None
    p95_ms: int | None
    totals: Ends
    cells: tuple[Ends, ...]


class EndpointsOut(Struct, frozen=True):
    """Those in trouble first, then those that were used last."""

    items: tuple[EndpointStats, ...]


class RuleStats(Struct, frozen=True):
    """`messages`: that were to be sent on their own, whether they arrived or not. `name` is "" of what is no rule of
    its own: the enabled events of an endpoint (`ep:…`), preferences (`pref:…`)."""

    rule_id: str
    name: str
    messages: int
    totals: Ends


class RulesOut(Struct, frozen=True):
    """The noisiest first, over the last `days` days (UTC), today among them."""

    days: int
    items: tuple[RuleStats, ...]


class RunCellOut(Struct, frozen=True):
    id: str
    run_id: str
    attempt: int
    status: str
    started_at: str | None
    finished_at: str | None
    duration_s: float | None
    error: str


class PipelineStats(Struct, frozen=True):
    """`runs`: its last runs, the newest first."""

    pipeline: str
    runs: tuple[RunCellOut, ...]


class PipelinesOut(Struct, frozen=True):
    """The one that ran last first, among the newest 2,000 runs."""

    items: tuple[PipelineStats, ...]


ENDS = {
    "pending": "waiting",
    "sending": "waiting",
    "retrying": "waiting",
    "dead": "failed",
    "expired": "failed",
}
"""The states whose word is another here."""


def ends(counts: Iterable[Count]) -> Ends:
    found: Counter[str] = Counter()
    for one in counts:
        found[ENDS.get(one.status, one.status)] += one.count
    return Ends(**found)


def slices_until(now_ms: int, width_ms: int, number: int) -> Slices:
    """So many, aligned to their width, the last of them the one that time is in."""
    return Slices((now_ms // width_ms - number + 1) * width_ms, width_ms, number)


async def tally(call: Call, slices: Slices) -> list[Sequence[Count]]:
    """What the caller may see of each slice."""
    found = await call.app.tallies.of(call.tenant_id, slices)
    hidden = await hidden_endpoints(call)
    return [[one for one in counts if one.endpoint_id not in hidden] for counts in found] if hidden else list(found)


async def deliveries(call: Call) -> Response:
    hours = number_of(call, "hours", STANDARD_HOURS)
    number = number_of(call, "buckets", STANDARD_BUCKETS)
    width_ms = max(60_000, -(-hours * HOUR_MS // number // 60_000) * 60_000)
    now_ms = call.app.clock_ms()
    slices = slices_until(now_ms, width_ms, -(-hours * HOUR_MS // width_ms))
    asked = filters_of(call, ("webhook_id", "rule_id"))
    endpoint_id, rule_id = asked.get("webhook_id", ""), asked.get("rule_id", "")

    def fits(one: Count | stats.Latency) -> bool:
        return endpoint_id in ("", one.endpoint_id) and rule_id in ("", one.rule_id)

    found = [[one for one in counts if fits(one)] for counts in await tally(call, slices)]
    hidden = await hidden_endpoints(call)
    took = await stats.latencies(call.app.db, call.tenant_id, slices.first_ms, endpoint_id)
    latency = [one.duration_ms for one in took if fits(one) and one.endpoint_id not in hidden]
    answer = DeliveryStats(
        since=rfc3339(slices.first_ms),
        until=rfc3339(slices.end_ms),
        bucket_s=width_ms // 1000,
        totals=ends(one for counts in found for one in counts),
        buckets=tuple(
            Bucket(rfc3339(at_ms), ends(counts)) for at_ms, counts in zip(slices.starts(), found, strict=True)
        ),
        latency=LatencyOut(stats.quantile(latency, 0.5), stats.quantile(latency, 0.95), len(latency)),
    )
    return reply(answer)


async def endpoints(call: Call) -> Response:
    app, limit = call.app, number_of(call, "limit", 50)
    scope = seen_by(call.by)
    given = call.request.query_params.get("ids")
    ids = given.split(",") if given else None
    if ids and len(ids) > MOST_ENDPOINTS:
        raise Invalid("ids", f"{len(ids)} ids", f"{MOST_ENDPOINTS} at the most, with commas between them")
    known = await stats.endpoint_states(app.db, call.tenant_id, limit, scope, ids)
    slices = slices_until(app.clock_ms(), CELL_MS, CELLS)
    cells: dict[str, list[list[Count]]] = {one.id: [[] for _ in range(CELLS)] for one in known}
    for place, counts in enumerate(await app.tallies.of(call.tenant_id, slices)):
        for one in counts:
            if one.endpoint_id in cells:
                cells[one.endpoint_id][place].append(one)
    used = [one.id for one in known if (one.last_used_ms or 0) >= slices.first_ms]
    took = await stats.latencies_of(app.db, call.tenant_id, slices.first_ms, used) if used else {}
    failing = [one.id for one in known if one.is_failing]
    since = await stats.failing_since(app.db, call.tenant_id, failing) if failing else {}
    items = []
    for state in known:
        theirs = cells[state.id]
        words = (lambda text: text) if sees_words(call.by) else status_alone
        items.append(
            EndpointStats(
                id=state.id,
                name=state.name,
                provider_type=state.provider_type,
                is_active=state.is_active and not state.disabled_reason,
                is_failing=state.is_failing,
                failing_since=rfc3339(since.get(state.id)),
                disabled_reason=words(state.disabled_reason),
                consecutive_failures=state.consecutive_failures,
                last_error=words(state.last_error),
                last_at=rfc3339(state.last_used_ms),
                p95_ms=stats.quantile(took.get(state.id, ()), 0.95),
                totals=ends(one for counts in theirs for one in counts),
                cells=tuple(ends(counts) for counts in theirs),
            )
        )
    return reply(EndpointsOut(tuple(items)))


async def rules(call: Call) -> Response:
    """Days that are over as a whole, today in the half hours that the other numbers are made of."""
    app, limit = call.app, number_of(call, "limit", 10)
    now_ms, day_ms = app.clock_ms(), 24 * HOUR_MS
    today_ms = now_ms // day_ms * day_ms
    before = Slices(today_ms - (RULE_DAYS - 1) * day_ms, day_ms, RULE_DAYS - 1)
    today = Slices(today_ms, CELL_MS, (now_ms - today_ms) // CELL_MS + 1)
    by_rule: dict[str, list[Count]] = {}
    for counts in (*await tally(call, before), *await tally(call, today)):
        for one in counts:
            by_rule.setdefault(one.rule_id, []).append(one)
    hidden = await hidden_endpoints(call)
    seen = [
        (rule_id, ends(counts))
        for rule_id, counts in by_rule.items()
        if rule_id and not is_hidden_rule(call, rule_id, hidden)
    ]
    noisy = sorted(seen, key=lambda one: (-messages(one[1]), -one[1].suppressed, one[0]))[:limit]
    names = await stats.rule_names(app.db, call.tenant_id, [rule_id for rule_id, _ in noisy])
    items = tuple(RuleStats(rule_id, names.get(rule_id, ""), messages(all_), all_) for rule_id, all_ in noisy)
    return reply(RulesOut(RULE_DAYS, items))


def messages(all_: Ends) -> int:
    return all_.delivered + all_.waiting + all_.failed + all_.cancelled


async def pipelines(call: Call) -> Response:
    limit, runs = number_of(call, "limit", 10), number_of(call, "runs", STANDARD_RUNS)
    found = await stats.newest_pipelines(call.app.db, call.tenant_id, limit, runs)
    return reply(
        PipelinesOut(
            tuple(
                PipelineStats(
                    name,
                    tuple(
                        RunCellOut(
                            run.id, run.run_id, run.attempt, run.status, rfc3339(run.started_ms),
                            rfc3339(run.finished_ms), run.duration_s, run.error,
                        )
                        for run in its_runs
                    ),
                )
                for name, its_runs in found
            )
        )
    )  # fmt: skip


ROUTES = (
    Route(
        method="GET",
        path="/v1/stats/deliveries",
        handler=deliveries,
        summary="What became of the deliveries of the last hours, over time",
        role="viewer",
        answer=DeliveryStats,
        query={
            "hours": whole("So many hours back", MOST_HOURS, STANDARD_HOURS),
            "buckets": whole("In so many spans, of whole minutes", MOST_BUCKETS, STANDARD_BUCKETS),
            "webhook_id": "Only this webhook_id",
            "rule_id": "Only this rule_id",
        },
    ),
    Route(
        method="GET",
        path="/v1/stats/endpoints",
        handler=endpoints,
        summary="How each endpoint did in the last 24 hours",
        role="viewer",
        answer=EndpointsOut,
        query={
            "ids": f"Only these ids, with commas between them: {MOST_ENDPOINTS} at the most",
            "limit": whole("How many at the most", MOST_ENDPOINTS, 50),
        },
    ),
    Route(
        method="GET",
        path="/v1/stats/rules",
        handler=rules,
        summary="Which rules made the most messages in the last seven days",
        role="viewer",
        answer=RulesOut,
        query={"limit": whole("How many at the most", 100, 10)},
    ),
    Route(
        method="GET",
        path="/v1/stats/pipelines",
        handler=pipelines,
        summary="The last runs of the pipelines that ran last",
        role="viewer",
        answer=PipelinesOut,
        query={
            "limit": whole("How many pipelines at the most", 50, 10),
            "runs": whole("How many runs of each", MOST_RUNS, STANDARD_RUNS),
        },
    ),
)
