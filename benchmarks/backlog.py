"""What a delivery costs when 1,000,000 wait, beside what it costs when some thousands do; and the memory.

The backlog is made as life makes it: the receiver is down while events come in (batches of 100, each event to twenty
endpoints of that one host). Then the receiver is back and Tocsin is started anew, so that it begins without a wait. The
first deliveries are let pass; what is measured is the CPU per delivery of the next ones, claim, send and record, of
Tocsin and of PostgreSQL. Nothing but the sink's count is asked meanwhile: counting a million rows has its own price.
"""

import time
from collections.abc import Iterator

from benchmarks.figure import Figure
from benchmarks.systems import WAIT_S, Bench, Sink, Tocsin
from tests.postgres import free_port

ENDPOINTS = 20
SMALL = 20_000
"""The small backlog: 6,000 to get going, 10,000 measured, 4,000 that still wait at the end."""
PASSED = 6_000
MEASURED = 10_000
HOLD = 1.3
HOLD_RSS_MB = 300.0


def run(bench: Bench, store: str) -> Iterator[Figure]:
    small_us, _, _ = drained(bench, store, SMALL)
    large_us, rss_mb, made_per_s = drained(bench, store, bench.backlog)
    again_us, _, _ = drained(bench, store, SMALL)
    limit = (small_us + again_us) / 2
    yield Figure(
        name=f"{store}, backlog of {bench.backlog:,}: cost of a delivery",
        ours=large_us,
        limit=limit,
        ratio=large_us / limit,
        unit="µs CPU",
        hold=f"≤ {HOLD} ×",
        held=large_us <= HOLD * limit,
        note=f"limit: a backlog of {SMALL:,}; made at {made_per_s:,.0f} deliveries/s",
        detail={"small": [small_us, again_us], "large": large_us},
    )
    yield Figure(
        name=f"{store}, backlog of {bench.backlog:,}: RSS",
        ours=rss_mb,
        unit="MB",
        hold=f"≤ {HOLD_RSS_MB:.0f} MB",
        held=rss_mb <= HOLD_RSS_MB,
        note="while it drains",
    )


def drained(bench: Bench, store: str, backlog: int) -> tuple[float, float, float]:
    """µs of CPU per delivery, the most RSS seen in MB, and deliveries planned per second while the backlog was made."""
    port = free_port()
    with bench.new(Tocsin, store) as system:
        system.start()
        for number in range(ENDPOINTS):
            system.add_endpoint(f"e{number}", f"http://127.0.0.1:{port}/{number}", ("*",))
        made = system.load(events=backlog // ENDPOINTS, batch=100)
        waiting, _ = system.progress()
        if waiting < backlog * 0.99:
            raise RuntimeError(f"{backlog} deliveries were to wait; /metrics says {waiting}")
        system.stop()
        system.sink = Sink(system.folder, port)
        try:
            system.start()
            rss_mb = wait_for(system, PASSED)
            cpu, start = sum(system.cpu_s()), system.sink.count()
            rss_mb = max(rss_mb, wait_for(system, start + MEASURED))
            done = system.sink.count() - start
            return (sum(system.cpu_s()) - cpu) / done * 1e6, rss_mb, made.per_s * ENDPOINTS
        finally:
            system.stop()
            system.sink.program.stop()


def wait_for(system: Tocsin, received: int) -> float:
    """Until the sink has so many; the most RSS seen in MB meanwhile."""
    until = time.monotonic() + WAIT_S
    rss_mb = 0.0
    while system.sink.count() < received:
        rss_mb = max(rss_mb, system.running().rss_mb())
        if time.monotonic() > until:
            raise RuntimeError(f"only {system.sink.count()} of {received} deliveries came\n{system.running().tail()}")
        time.sleep(0.02)
    return rss_mb
