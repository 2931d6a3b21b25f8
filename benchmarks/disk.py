"""What an event takes on the disk: its row, its run's, one delivery, one attempt, and all of their indexes.

The events are those of `load.py`, of 700 bytes each, each a run of its own, in batches of 100 to one webhook. Counted
is the database after everything was delivered and the process has ended, less what it was before: so with what updates
leave behind, and without the write-ahead log.
"""

from collections.abc import Iterator

from benchmarks.figure import Figure
from benchmarks.systems import Bench, Tocsin

EVENTS = 30_000
HOLD = 6_000.0


def run(bench: Bench, store: str) -> Iterator[Figure]:
    with bench.new(Tocsin, store) as system:
        system.start()
        system.add_one_endpoint()
        system.stop()
        before = size(bench, system)
        system.start()
        sent = bench.sink.count()
        system.load(events=EVENTS, batch=100)
        system.wait_until_done(sent + EVENTS)
        system.stop()
        found = (size(bench, system) - before) / EVENTS
    yield Figure(
        name=f"{store}, disk for an event",
        ours=found,
        unit="bytes",
        hold=f"≤ {HOLD:,.0f}",
        held=found <= HOLD,
        note=f"{EVENTS:,} events, each with a run, a delivery and an attempt",
    )


def size(bench: Bench, system: Tocsin) -> int:
    """Bytes of the whole database, indexes included."""
    if system.postgres:
        name = system.dsn.rpartition("/")[2]
        return int(bench.postgres().run_sql(f"SELECT pg_database_size('{name}')"))
    return sum(file.stat().st_size for file in (system.folder / "data").glob("tocsin.db*"))
