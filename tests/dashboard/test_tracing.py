"""What the pages of events and runs make of what the API says: filters, verdicts, timelines."""

from typing import Any

import pytest

from tocsin.web.dashboard.tracing import (
    as_text,
    asked_of,
    covering,
    gantt,
    headline,
    last_line,
    log_lines,
    tone_of,
    took_of,
)

START = "2026-11-21T02:00:00.000Z"


def test_a_filter_box_is_read_and_written_alike() -> None:
    asked = asked_of('type:run.failed pipeline:"my etl/orders" disk full')
    assert asked.filters == {"type": "run.failed", "pipeline": "my etl/orders"}
    assert asked.words == "disk full"
    assert asked_of(as_text(asked.filters)).filters == asked.filters
    assert asked_of("colour:red run:a:b").unknown == "colour"
    assert asked_of("colour:red run:a:b").filters == {"run_id": "a:b"}


@pytest.mark.parametrize(
    ("counts", "tone"),
    [({}, "mute"), ({"delivered": 2}, "ok"), ({"delivered": 2, "dead": 1}, "bad"), ({"silenced": 1}, "mute"),
     ({"delivered": 1, "retrying": 1}, "warn"), ({"waiting": 1}, "info")],
)  # fmt: skip
def test_the_worst_of_an_outcome_is_what_shows(counts: dict[str, int], tone: str) -> None:
    assert tone_of({"counts": counts}) == tone


def test_an_answer_and_its_reason_are_two_things() -> None:
    assert headline("Nobody was told: no rule asks.") == ("Nobody was told", "No rule asks.")
    said = "Nobody was told of etl r1, which failed (no: space): rule a: the label env is dev, not prod."
    events = ["Nobody was told: no rule.", "Nobody was told: rule a: the label env is dev, not prod."]
    assert headline(said, events) == ("Nobody was told", "Rule a: the label env is dev, not prod.")
    told = "on-call was told of etl r1, which failed (no: space): 2 messages about 1 of its 2 events."
    assert headline(told, events) == ("on-call was told", "2 messages about 1 of its 2 events.")


def test_a_silence_covers_by_its_pipelines() -> None:
    def silence(*matchers: tuple[str, str, bool]) -> dict[str, Any]:
        return {"matchers": [{"field": field, "value": value, "negate": negate} for field, value, negate in matchers]}

    covers = silence(("pipeline", "etl/*", False), ("severity", "warning", False))
    others = [
        silence(("pipeline", "ml", False)),
        silence(("pipeline", "etl/*", True)),
        silence(("severity", "x", False)),
    ]
    assert covering([covers, *others], "etl/orders") == [covers]


def at(second: int | None) -> str | None:
    return None if second is None else f"2026-11-21T02:00:{second:02d}.000Z"


def stage(
    name: str, start: int, end: int | None, status: str = "succeeded", index: int | None = None
) -> dict[str, Any]:
    times = {"started_at": at(start), "finished_at": at(end), "duration_s": None if end is None else end - start}
    return {"name": name, "map_index": index, "attempt": 1, "status": status, "error": ""} | times


def test_stages_on_a_timeline() -> None:
    run = {"status": "failed", "started_at": START, "finished_at": "2026-11-21T02:00:40.000Z"}
    found = gantt(run | {"stages": [stage("load", 20, 40, "failed"), stage("extract", 0, 20)]}, 0)
    assert [(row.name, row.bars) for row in found.rows] == [
        ("extract", ((0.0, 500.0, "ok"),)),
        ("load", ((500.0, 500.0, "bad"),)),
    ]
    assert found.ends == ("0", "10 s", "20 s", "30 s", "40 s")
    many = [stage("part", 1, 2, "failed" if number == 7 else "succeeded", number) for number in range(200)]
    (row,) = gantt(run | {"stages": many}, 0).rows
    assert (row.name, row.count, row.status) == ("part", 200, "failed")
    assert gantt(run | {"stages": []}, 0).rows == ()


def test_a_runs_time_beside_the_usual_one() -> None:
    run = {"status": "succeeded", "started_at": START, "duration_s": 30.0, "usual_s": 10.0}
    took = took_of(run, 0)
    assert took is not None
    assert (took.part, took.mark, took.tone) == (100.0, 33.3, "warn")
    assert took.said == "30 s, 3.0 × the usual 10 s"
    assert took_of(run | {"duration_s": None}, 0) is None


def test_lines_of_trouble_stand_out() -> None:
    assert [line.bad for line in log_lines("reading\nValueError: bad row\ndone")] == [False, True, False]
    assert last_line("Traceback\n  File\nValueError: bad row\n\n") == "ValueError: bad row"
