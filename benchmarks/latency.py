"""How long from the POST until the receiver has it, at half of what Tocsin can do on this machine.

An open loop: each delay counts from the time at which the event was due to be sent, so that stalls cannot hide. The
bare line gets the same rate. Half load is half of the closed loop's rate, measured first.
"""

import statistics
from collections.abc import Iterator

from benchmarks.figure import Figure
from benchmarks.systems import BareLine, Bench, System, Tocsin
from benchmarks.throughput import WARM_UP, measure

HOLD_MS = {"p50": 10.0, "p99": 50.0}


def run(bench: Bench, store: str) -> Iterator[Figure]:
    with bench.new(BareLine, store) as bare, bench.new(Tocsin, store) as ours:
        bare.start()
        ours.start()
        ours.add_one_endpoint()
        for system in (bare, ours):
            measure(system, WARM_UP, 1)
        rate = measure(ours, WARM_UP, 1).per_s / 2
        delays: dict[str, list[dict[str, float]]] = {"bare": [], "tocsin": []}
        for _ in range(bench.rounds):
            for system in (bare, ours):
                delays[system.name].append(at_rate(system, rate, bench.seconds))
    for share, hold in HOLD_MS.items():
        ours_ms, bare_ms = (statistics.median(one[share] for one in delays[name]) for name in ("tocsin", "bare"))
        yield Figure(
            name=f"{store}, POST → receiver at half load, {share}",
            ours=ours_ms,
            limit=bare_ms,
            ratio=ours_ms / bare_ms,
            unit="ms",
            hold=f"≤ {hold:.0f} ms",
            held=ours_ms <= hold,
            note=f"at {rate:,.0f} events/s",
            detail={"rate": rate, "rounds": delays},
        )


def at_rate(system: System, rate: float, seconds: float) -> dict[str, float]:
    """One round: the delays in ms."""
    events = int(rate * seconds)
    system.sink.reset()
    system.load(events=events, rate=rate)
    system.wait_until_done(events)
    found = system.sink.stats()
    assert found.delay_p50 is not None
    assert found.delay_p99 is not None
    return {"p50": found.delay_p50, "p99": found.delay_p99}
