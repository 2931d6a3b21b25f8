"""The table of what to plan for follows from what was measured."""

import pytest

from benchmarks.capacity import BUSY, DAY_S, NOTES, PROCESS_MB, Cost, measured, need, table
from tests.test_docs import TEXTS, generated


def test_the_table_is_what_the_measurements_say(request: pytest.FixtureRequest) -> None:
    generated("docs/scale.md", "capacity", table(), request.config.getoption("--update-golden"))


def test_costs_are_those_of_the_notes() -> None:
    notes = """
| SQLite, single events | 3,247/s, 305 µs | 7,117/s, 144 µs | 0.46 | 0.50 | |
| PostgreSQL, single events | 2,880/s, 266 + 119 µs | 8,461/s, 104 + 49 µs | 0.35 | 0.50 | |
| SQLite, disk for an event | 3,542 bytes | | | 6,000 | |
| PostgreSQL, disk for an event | 5,611 bytes | | | 6,000 | |
"""
    assert measured("sqlite", notes) == Cost(305, 0, 3542)
    assert measured("postgres", notes) == Cost(266, 119, 5611)
    assert measured("sqlite").tocsin_us > 0
    assert measured("postgres").database_us > 0
    with pytest.raises(LookupError, match=r"NOTES.md has no CPU"):
        measured("sqlite", notes.replace("single events", "events"))


def test_needs_follow_the_formulas() -> None:
    cost = Cost(tocsin_us=250, database_us=100, disk_bytes=4000)
    small, large = need("sqlite", 100, cost), need("postgres", 4000, cost)
    assert small.tocsin_cores == 100 * 250 / 1e6 / BUSY
    assert (small.processes, small.memory_mb, small.connections) == (1, PROCESS_MB, 0)
    assert small.day_bytes == 100 * DAY_S * 4000
    assert (large.tocsin_cores, large.database_cores) == (2.0, 0.8)
    assert (large.processes, large.memory_mb, large.connections) == (3, 3 * PROCESS_MB, 27)
    assert need("sqlite", 2000, cost).processes == 1
    assert need("sqlite", 2001, cost).processes == 0, "SQLite is for one process, which has one core"


def test_memory_of_a_process_is_no_less_than_was_measured() -> None:
    """Each figure that the constant is made of is in the notes."""
    notes = NOTES.read_text("utf-8")
    for words in ("94 MB, 0.4 %", "RSS 145 MB", "RSS 182 MB"):
        assert words in notes
    assert PROCESS_MB >= 182


def test_what_a_bus_absorbs_is_reckoned_right() -> None:
    peak, capacity, afterwards = 10_000, 3_000, 500
    backlog = (peak - capacity) * 3600
    hours, minutes = divmod(backlog / (capacity - afterwards) / 60, 60)
    said = " ".join(TEXTS["docs/scale.md"].split())
    assert f"a backlog of {backlog // 1_000_000} million messages, some {backlog * 700 / 1e9:.0f} GB" in said
    assert f"gone after {hours:.0f} hours and {minutes:.0f} minutes" in said
