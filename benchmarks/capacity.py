"""What a rate of events needs, from what one event costs: the table of docs/scale.md.

    python -m benchmarks.capacity                what each rate needs
    python -m benchmarks.capacity 40 --days 14   this many events a second

    cores   = events/s × µs of CPU an event ÷ 1,000,000 ÷ BUSY
    memory  = processes × PROCESS_MB
    disk    = events/s × 86,400 × bytes an event, a day; × days for what is kept

CPU and bytes are read from benchmarks/NOTES.md, whose tables `make bench` measures. All of it is for one message an
event and senders that do not batch. A rate is the busiest minute's for cores, the day's mean for the disk.
"""

import argparse
import math
import re
from dataclasses import dataclass
from pathlib import Path

NOTES = Path(__file__).with_name("NOTES.md")
BUSY = 0.5
"""So much of a core is planned for: the rest is for peaks, retries, digests, retention and pages."""

MOST_SQLITE = 1.0
"""Cores that one process can use; SQLite is for one."""

PROCESS_MB = 200
"""RSS: 94 MB idle, 145 MB with 1,000,000 deliveries waiting, 182 MB with 10,000 rules."""

CONNECTIONS = 9
"""Of a process to PostgreSQL, the one that watches included."""

RATES = (1, 10, 100, 500, 1000, 3000)
DAYS = 30
DAY_S = 86_400


@dataclass(frozen=True)
class Cost:
    """Of an event with one message: µs of CPU in Tocsin and in the database, bytes on the disk."""

    tocsin_us: float
    database_us: float
    disk_bytes: float


@dataclass(frozen=True)
class Need:
    """`processes` of Tocsin's; 0 where it cannot be done so."""

    processes: int
    tocsin_cores: float
    database_cores: float
    memory_mb: int
    connections: int
    day_bytes: float


def measured(store: str, text: str | None = None) -> Cost:
    """`sqlite` or `postgres`, as NOTES.md has it. Raises LookupError where it has not."""
    notes = NOTES.read_text("utf-8") if text is None else text
    name = {"sqlite": "SQLite", "postgres": "PostgreSQL"}[store]
    cpu = re.search(rf"^\| {name}, single events \| [\d,]+/s, (\d+)(?: \+ (\d+))? µs \|", notes, re.MULTILINE)
    disk = re.search(rf"^\| {name}, disk for an event \| ([\d,]+) bytes", notes, re.MULTILINE)
    if cpu is None or disk is None:
        raise LookupError(f"{NOTES.name} has no CPU or no disk of a single event with {name}.")
    return Cost(float(cpu[1]), float(cpu[2] or 0), float(disk[1].replace(",", "")))


def need(store: str, per_s: float, cost: Cost) -> Need:
    tocsin = per_s * cost.tocsin_us / 1e6 / BUSY
    database = per_s * cost.database_us / 1e6 / BUSY
    processes = max(2, math.ceil(tocsin) + 1)  # one that may be missing
    if store == "sqlite":
        processes = 1 if tocsin <= MOST_SQLITE else 0
    return Need(
        processes=processes,
        tocsin_cores=tocsin,
        database_cores=database,
        memory_mb=processes * PROCESS_MB,
        connections=processes * CONNECTIONS if store == "postgres" else 0,
        day_bytes=per_s * DAY_S * cost.disk_bytes,
    )


def table(rates: tuple[float, ...] = RATES, days: int = DAYS) -> str:
    lines = [
        "| events/s | store | processes | cores: Tocsin, database | memory of Tocsin | connections | disk a day "
        f"| kept {days} days |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for per_s in rates:
        for store in ("sqlite", "postgres"):
            found = need(store, per_s, measured(store))
            name = {"sqlite": "SQLite", "postgres": "PostgreSQL"}[store]
            if not found.processes:
                lines.append(f"| {per_s:,g} | {name} | more than one core: take PostgreSQL | | | | | |")
                continue
            cores = cores_text(found.tocsin_cores)
            if store == "postgres":
                cores += f", {cores_text(found.database_cores)}"
            lines.append(
                f"| {per_s:,g} | {name} | {found.processes} | {cores} | {found.memory_mb:,} MB "
                f"| {found.connections or '—'} | {size_text(found.day_bytes)} | {size_text(found.day_bytes * days)} |"
            )
    return "\n".join(lines) + "\n"


def cores_text(cores: float) -> str:
    """Rounded up: a tenth, from ten on a whole one."""
    return f"{math.ceil(cores):,}" if cores >= 10 else f"{math.ceil(cores * 10) / 10:.1f}"


def size_text(number: float) -> str:
    for unit, factor in (("TB", 1e12), ("GB", 1e9)):
        if number >= factor:
            return f"{number / factor:.1f} {unit}" if number < 100 * factor else f"{number / factor:,.0f} {unit}"
    return f"{number / 1e6:.0f} MB"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="What a rate of events needs.")
    parser.add_argument("rates", type=float, nargs="*", default=RATES, help="events a second")
    parser.add_argument("--days", type=int, default=DAYS, help="how long they are kept")
    given = parser.parse_args()
    print(table(tuple(given.rates), given.days), end="")
