"""What an event costs when 10,000 rules exist and 10 of them match, beside 10 rules that all match.

The ten lead to one endpoint, so that a single delivery hides little of the matching. The others are what large
installations have: rules of other pipelines by name, by pattern and by label, rules of other types, and rules with a
condition; none of them match. Costs are CPU, not time: events, rules and deliveries are the same in number.
"""

import statistics
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.figure import Figure
from benchmarks.systems import Bench, Tocsin
from benchmarks.throughput import WARM_UP, measure

MATCHING = 10
MANY = 10_000
HOLD = 1.3


def run(bench: Bench, store: str) -> Iterator[Figure]:
    with bench.new(Tocsin, store) as few, bench.new(Tocsin, store) as many:
        for system, total in ((few, MATCHING), (many, MANY)):
            system.start()
            add_rules(system, system.add_endpoint("sink", bench.sink.url()), total)
        events = {id(system): int(measure(system, WARM_UP, 1).per_s * bench.seconds) for system in (few, many)}
        cost: dict[int, list[float]] = {id(few): [], id(many): []}
        for _ in range(bench.rounds):
            for system in (few, many):
                done = measure(system, max(WARM_UP, events[id(system)]), 1)
                cost[id(system)].append(done.cpu_us + done.postgres_us)
        rss_mb = many.running().rss_mb()
    ratio = statistics.median(ours / limit for ours, limit in zip(cost[id(many)], cost[id(few)], strict=True))
    yield Figure(
        name=f"{store}, {MANY:,} rules of which {MATCHING} match",
        ours=statistics.median(cost[id(many)]),
        limit=statistics.median(cost[id(few)]),
        ratio=ratio,
        unit="µs CPU",
        hold=f"≤ {HOLD} ×",
        held=ratio <= HOLD,
        note=f"limit: {MATCHING} rules; RSS with {MANY:,}: {rss_mb:.0f} MB",
        detail={"many": cost[id(many)], "few": cost[id(few)]},
    )


def add_rules(system: Tocsin, endpoint_id: str, total: int) -> None:
    """The ten that match are spread over all, as if made at different times."""
    step = total // MATCHING
    asked = [(number, matching() if number % step == 0 else other(number)) for number in range(total)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda one: system.add_rule(f"rule {one[0]}", endpoint_id, **one[1]), asked))


def matching() -> dict[str, Any]:
    return {"event_types": ["run.failed", "run.warning"], "pipelines": ["etl/*"]}


def other(number: int) -> dict[str, Any]:
    """A rule that no event of the benchmark matches."""
    kinds: list[dict[str, Any]] = [
        {"event_types": ["run.failed"], "pipelines": [f"team-{number}/daily"]},
        {"event_types": ["run.*"], "pipelines": [f"team-{number}/*"]},
        {"event_types": ["run.failed"], "labels": {"team": f"team-{number}"}},
        {"event_types": [f"custom.kind{number}"]},
        {"event_types": ["run.failed"], "pipelines": [f"ml/{number}"], "condition": f"data.rows < {number}"},
    ]
    return kinds[number % len(kinds)]
