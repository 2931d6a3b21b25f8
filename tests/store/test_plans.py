"""No query of the hot path or of the sweep looks through the deliveries: a backlog of a million costs no more than one
of a thousand.

SQLite says how it will run a query; a full scan of a table that grows is a failure here, long before anyone waits for
it.
"""

from pathlib import Path

import pytest

from tocsin.store.migrate import migrate
from tocsin.store.queries import query, texts
from tocsin.store.sqlite import SqliteDatabase

GROWING = ("delivery", "event", "attempt", "run", "timer", "rule_state", "fold")
ASKED = [
    "find_events",
    "lock_runs",
    "update_runs",
    "wake_endpoints",
    "ready_endpoints",
    "claim_first",
    "claim_retries",
    "requeue_endpoints",
    "finish_deliveries",
    "release_deliveries",
    "lost_leases",
    "my_old_leases",
    "expire_deliveries",
    "suppress_pending",
    "suppress_retrying",
    "cancel_orphans_pending",
    "cancel_orphans_retrying",
    "overdue_endpoints",
    "events_of",
    "runs_of",
    "delete_old_attempts",
    "delete_old_deliveries",
    "delete_old_events",
    "delete_old_runs",
    "reconcile",
    "list_attempts",
    "replay_deliveries",
    "cancel_delivery",
    "get_run",
    "good_runs",
    "started_runs",
    "ended_unstarted",
    "newest_attempt",
    "delay",
    "due_timers",
    "end_timer",
    "put_timers",
    "drop_timers",
    "rule_states",
    "folds",
    "list_pipelines",
    "last_runs",
    "newest_runs",
    "good_runs_of",
    "latencies_of",
    "failing_since",
    "hidden_messages",
    "sent_lately",
    "find_event",
    "events_of_run",
    "event_floor",
    "run_floor",
    "traces",
    "outcomes",
    "search_pipelines",
]


@pytest.mark.anyio
@pytest.mark.parametrize("name", ASKED)
async def test_finds_its_rows_by_an_index(tmp_path: Path, name: str) -> None:
    db = SqliteDatabase(tmp_path / "plans.db")
    try:
        await migrate(db)
        asked = query("sqlite", name)
        steps = [
            str(row[3])
            for row in db.writer.execute(f"EXPLAIN QUERY PLAN {asked.text}", (None,) * len(asked.parameters))
        ]
    finally:
        await db.close()
    scans = [
        step
        for step in steps
        if step.startswith("SCAN")
        and step.split()[1] in GROWING
        and "INDEX delivery_lease" not in step  # what is leased
    ]
    assert not scans, f"{name} looks through a whole table: {steps}"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("name", "filters", "index"),
    [
        ("list_runs", ("parent_run_id",), "run_parent"),
        ("good_runs", (), "run_history"),
        ("started_runs", (), "run_started"),
        ("ended_unstarted", (), "run_trouble"),
        ("ended_unstarted", (), "run_history"),
        ("due_silences", (), "silence_end"),
        ("due_silences", (), "hidden_untold"),
        ("due_timers", (), "timer_due"),
        ("find_event", (), "event_id"),
        ("find_event", ("source",), "event_id"),
        ("events_of_run", (), "event_run"),
        ("list_events", ("run_id",), "event_run"),
        ("fates", ("run",), "event_run"),
        ("fates", ("run",), "delivery_event"),
        ("outcomes", (), "delivery_event"),
        ("list_deliveries", ("event_id",), "delivery_event"),
    ],
)
async def test_finds_its_rows_by_its_own_index(tmp_path: Path, name: str, filters: tuple[str, ...], index: str) -> None:
    """A pipeline may have a million runs: to look through those is no better than to look through all."""
    db = SqliteDatabase(tmp_path / "plans.db")
    try:
        await migrate(db)
        asked = query("sqlite", name, filters)
        steps = list(db.writer.execute(f"EXPLAIN QUERY PLAN {asked.text}", (None,) * len(asked.parameters)))
    finally:
        await db.close()
    assert f"INDEX {index}" in str(steps)


def test_both_stores_take_a_querys_values_in_one_order() -> None:
    for name, text in texts("postgres").items():
        if name not in texts("sqlite") or "{filters}" in texts("sqlite")[name]:
            continue
        one, other = query("postgres", name).parameters, query("sqlite", name).parameters
        assert sorted(one) == sorted(other), name
        assert one == other or "unnest(" not in text, f"{name} takes rows: their values go by position"
