"""Accepted → delivered → recorded, per second, beside the bare line on the same store.

A round sends for about `seconds` as fast as answers come and ends when the sink has every event and the store says that
each is delivered. Rounds of the two systems alternate; the ratio is the median of the rounds' ratios, so that what else
the machine does falls on both.
"""

import statistics
import time
from collections.abc import Iterator

from msgspec import Struct, to_builtins

from benchmarks.figure import Figure
from benchmarks.systems import BareLine, Bench, System, Tocsin

HOLD = {1: 0.50, 100: 0.65}
"""By batch size: the share of the bare line to hold."""

WARM_UP = 2000


class Round(Struct):
    """`cpu_us` and `postgres_us` are microseconds of CPU per event; `rss_mb` at the end of the round."""

    per_s: float
    cpu_us: float
    postgres_us: float
    sink_us: float
    accept_p50_ms: float | None
    accept_p99_ms: float | None
    rss_mb: float


def run(bench: Bench, store: str, batch: int) -> Iterator[Figure]:
    with bench.new(BareLine, store) as bare, bench.new(Tocsin, store) as ours:
        bare.start()
        ours.start()
        ours.add_one_endpoint()
        events = {system.name: _events(system, bench.seconds, batch) for system in (bare, ours)}
        rounds: dict[str, list[Round]] = {"bare": [], "tocsin": []}
        for _ in range(bench.rounds):
            for system in (bare, ours):
                rounds[system.name].append(measure(system, events[system.name], batch))
    yield _figure(store, batch, rounds)


def _events(system: System, seconds: float, batch: int) -> int:
    """Warm up, and see how many events fill `seconds`."""
    warm = measure(system, WARM_UP, batch)
    return max(WARM_UP, int(warm.per_s * seconds / batch) * batch)


def measure(system: System, events: int, batch: int) -> Round:
    """One round."""
    system.sink.reset()
    cpu, postgres = system.cpu_s()
    sink_cpu = system.sink.program.cpu_s()
    outcome = system.load(events=events, batch=batch)
    system.wait_until_done(events)
    seconds = (time.monotonic_ns() - outcome.started_ns) / 1e9
    cpu_after, postgres_after = system.cpu_s()
    received = system.sink.stats()
    if received.distinct != events:
        raise RuntimeError(f"{system.name}: {events} events were accepted, {received.distinct} messages came")
    return Round(
        per_s=events / seconds,
        cpu_us=(cpu_after - cpu) / events * 1e6,
        postgres_us=(postgres_after - postgres) / events * 1e6,
        sink_us=(system.sink.program.cpu_s() - sink_cpu) / events * 1e6,
        accept_p50_ms=outcome.delay_p50,
        accept_p99_ms=outcome.delay_p99,
        rss_mb=system.running().rss_mb(),
    )


def _figure(store: str, batch: int, rounds: dict[str, list[Round]]) -> Figure:
    pairs = zip(rounds["tocsin"], rounds["bare"], strict=True)
    ratio = statistics.median(ours.per_s / bare.per_s for ours, bare in pairs)
    return Figure(
        name=f"{store}, {'single events' if batch == 1 else f'batches of {batch}'}",
        ours=_median(rounds["tocsin"], "per_s"),
        limit=_median(rounds["bare"], "per_s"),
        ratio=ratio,
        unit="/s",
        hold=f"≥ {HOLD[batch]:.2f} ×",
        held=ratio >= HOLD[batch],
        note=f"CPU per event: {_cpu(rounds['tocsin'])}; bare {_cpu(rounds['bare'])}",
        detail={name: to_builtins(done) for name, done in rounds.items()},
    )


def _median(rounds: list[Round], field: str) -> float:
    return float(statistics.median(getattr(one, field) for one in rounds))


def _cpu(rounds: list[Round]) -> str:
    postgres = _median(rounds, "postgres_us")
    return f"{_median(rounds, 'cpu_us'):.0f} µs" + (f" + PostgreSQL {postgres:.0f} µs" if postgres else "")
