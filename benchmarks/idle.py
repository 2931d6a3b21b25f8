"""What Tocsin costs when nothing happens: memory, and the share of one core."""

import time
from collections.abc import Iterator

from benchmarks.figure import Figure
from benchmarks.systems import BareLine, Bench, System, Tocsin
from benchmarks.throughput import measure

HOLD_RSS_MB = 120.0
HOLD_CPU = 1.0
SETTLE_S = 3.0
LEAST_SECONDS = 8.0
FEW = 100


def run(bench: Bench, store: str) -> Iterator[Figure]:
    with bench.new(BareLine, store) as bare, bench.new(Tocsin, store) as ours:
        bare.start()
        ours.start()
        ours.add_one_endpoint()
        bare_mb, bare_cpu = idle(bare, bench.seconds)
        ours_mb, ours_cpu = idle(ours, bench.seconds)
    yield Figure(
        name=f"{store}, idle: RSS",
        ours=ours_mb,
        limit=bare_mb,
        ratio=ours_mb / bare_mb,
        unit="MB",
        hold=f"≤ {HOLD_RSS_MB:.0f} MB",
        held=ours_mb <= HOLD_RSS_MB,
        note=f"after {FEW} events",
    )
    yield Figure(
        name=f"{store}, idle: CPU",
        ours=ours_cpu,
        limit=bare_cpu,
        unit="%",
        hold=f"≤ {HOLD_CPU:.0f} %",
        held=ours_cpu <= HOLD_CPU,
        note="of one core" + (", PostgreSQL included" if store == "postgres" else ""),
    )


def idle(system: System, seconds: float) -> tuple[float, float]:
    """RSS in MB, and CPU in percent of a core, after a few events and a moment of quiet."""
    measure(system, FEW, 1)
    time.sleep(SETTLE_S)
    cpu, start = sum(system.cpu_s()), time.monotonic()
    time.sleep(max(seconds, LEAST_SECONDS))
    return system.running().rss_mb(), (sum(system.cpu_s()) - cpu) / (time.monotonic() - start) * 100
