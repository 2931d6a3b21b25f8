"""How long a webhook's receiver takes to answer, over time: `/v1/webhooks/{id}/latency`."""

from msgspec import Struct
from starlette.responses import Response

from tocsin.store import stats
from tocsin.web.api.stats_counts import (
    HOUR_MS,
    MOST_BUCKETS,
    MOST_HOURS,
    STANDARD_BUCKETS,
    STANDARD_HOURS,
    slices_until,
)
from tocsin.web.api.webhooks import mine
from tocsin.web.routes import Call, Route, number_of, reply, rfc3339, whole

MOST_LOOKED_AT = 2000
"""Deliveries, the newest: some 20 ms of reading, whatever there is."""


class LatencyBucket(Struct, frozen=True):
    """Of the attempts that arrived and began in the span from `at`; null where there are none."""

    at: str | None
    p50_ms: int | None
    p95_ms: int | None
    of: int


class LatencyOverTime(Struct, frozen=True):
    """`bucket_s` is a bucket's length. `of`: so many deliveries are counted, of the newest 2,000."""

    since: str | None
    until: str | None
    bucket_s: int
    p50_ms: int | None
    p95_ms: int | None
    of: int
    buckets: tuple[LatencyBucket, ...]


async def over_time(call: Call) -> Response:
    endpoint = await mine(call)
    hours = number_of(call, "hours", STANDARD_HOURS)
    number = number_of(call, "buckets", STANDARD_BUCKETS)
    width_ms = max(60_000, -(-hours * HOUR_MS // number // 60_000) * 60_000)
    slices = slices_until(call.app.clock_ms(), width_ms, -(-hours * HOUR_MS // width_ms))
    values = {
        "tenant_id": call.tenant_id,
        "endpoint_id": endpoint.id,
        "since": stats.id_at(slices.first_ms),
        "limit": MOST_LOOKED_AT,
    }
    took: dict[int, list[int]] = {}
    for started_ms, duration_ms in await call.app.db.read("latency_of_endpoint", values):
        took.setdefault(started_ms // width_ms, []).append(duration_ms)
    everything = [one for some in took.values() for one in some]
    return reply(
        LatencyOverTime(
            since=rfc3339(slices.first_ms),
            until=rfc3339(slices.end_ms),
            bucket_s=width_ms // 1000,
            p50_ms=stats.quantile(everything, 0.5),
            p95_ms=stats.quantile(everything, 0.95),
            of=len(everything),
            buckets=tuple(bucket(at_ms, took.get(at_ms // width_ms, [])) for at_ms in slices.starts()),
        )
    )


def bucket(at_ms: int, took: list[int]) -> LatencyBucket:
    return LatencyBucket(rfc3339(at_ms), stats.quantile(took, 0.5), stats.quantile(took, 0.95), len(took))


ROUTES = (
    Route(
        method="GET",
        path="/v1/webhooks/{id}/latency",
        handler=over_time,
        summary="How long its receiver took to answer, over time",
        role="viewer",
        answer=LatencyOverTime,
        query={
            "hours": whole("So many hours back", MOST_HOURS, STANDARD_HOURS),
            "buckets": whole("In so many spans, of whole minutes", MOST_BUCKETS, STANDARD_BUCKETS),
        },
    ),
)
