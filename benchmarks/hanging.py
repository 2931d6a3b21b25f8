"""Twenty endpoints on twenty hosts, each fed by a pipeline of its own; then two of them never answer.

What is judged is the delay of the eighteen that do. Half load, open loop, as in latency.py. The messages for the two
hosts keep their connections until the timeout, again and again on the retry schedule.
"""

import statistics
from collections.abc import Iterator

from benchmarks.figure import Figure
from benchmarks.systems import Bench, Tocsin
from benchmarks.throughput import WARM_UP

ENDPOINTS = 20
HANGING = 2
HOLD = 1.5
MOST_ROUNDS = 2
LEAST_SECONDS = 12.0
"""Longer than one timeout of 10 s: before it, nothing is freed and nothing is tried again."""


def run(bench: Bench, store: str) -> Iterator[Figure]:
    with bench.new(Tocsin, store) as healthy, bench.new(Tocsin, store) as hanging:
        for system, hung in ((healthy, 0), (hanging, HANGING)):
            system.start()
            for number in range(ENDPOINTS):
                path = f"/hang/{number}" if number < hung else f"/ok/{number}"
                endpoint_id = system.add_endpoint(f"e{number}", bench.sink.url(path, f"127.0.1.{number + 1}"))
                system.add_rule(f"r{number}", endpoint_id, event_types=["run.failed"], pipelines=[f"etl/p{number}"])
        warm(healthy, 0)
        rate = warm(healthy, 0) / 2
        warm(hanging, HANGING)
        delays: dict[str, list[float]] = {"healthy": [], "hanging": []}
        for _ in range(min(bench.rounds, MOST_ROUNDS)):
            delays["healthy"].append(healthy_p99(healthy, rate, bench.seconds, 0))
            delays["hanging"].append(healthy_p99(hanging, rate, bench.seconds, HANGING))
    with_them, without = statistics.median(delays["hanging"]), statistics.median(delays["healthy"])
    yield Figure(
        name=f"{store}, 10 % of endpoints hang: p99 of the others",
        ours=with_them,
        limit=without,
        ratio=with_them / without,
        unit="ms",
        hold=f"≤ {HOLD} ×",
        held=with_them <= HOLD * without,
        note=f"limit: none hangs; at {rate:,.0f} events/s",
        detail={"rate": rate, "rounds": delays},
    )


def warm(system: Tocsin, hung: int) -> float:
    """Send to those that answer, as fast as it goes; events/s."""
    system.sink.reset()
    pipelines = tuple(f"etl/p{number}" for number in range(hung, ENDPOINTS))
    outcome = system.load(events=WARM_UP, pipelines=pipelines)
    system.wait_until_received(WARM_UP)
    return outcome.per_s


def healthy_p99(system: Tocsin, rate: float, seconds: float, hung: int) -> float:
    """One round to all: the p99 delay in ms of those that answer, once everything for them has come."""
    events = int(rate * max(seconds, LEAST_SECONDS) / ENDPOINTS) * ENDPOINTS
    system.sink.reset()
    system.load(events=events, rate=rate, pipelines=tuple(f"etl/p{number}" for number in range(ENDPOINTS)))
    due = events // ENDPOINTS * (ENDPOINTS - hung)
    system.wait_until_received(due, "/ok/")
    p99 = system.sink.stats().delay_p99
    assert p99 is not None
    return p99
