"""A run built up from its events: in whatever order they come, the end is the same."""

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.model.event import Event
from tocsin.model.run import ENDED, RUN_STATUS, Run, Stage
from tocsin.rules.run_state import (
    LOG_BYTES,
    MAX_STAGES,
    STAGE_STATUS,
    after,
    attempt_named,
    concerns_run,
    stage_attempt,
)

STORIES = st.dictionaries(st.integers(0, 1000), st.sampled_from(sorted(RUN_STATUS)), min_size=1, max_size=8).map(
    lambda story: [(kind, ms) for ms, kind in story.items()]
)
NEW = Run(id="run_1", tenant_id="t", pipeline="p", run_id="r")


def event(kind: str, time_ms: int, **fields: Any) -> Event:
    standard: dict[str, Any] = {
        "uid": "evt_1", "tenant_id": "t", "id": "e", "source": "s", "type": kind, "kind": kind, "run_id": "r",
        "pipeline": "p", "time_ms": time_ms, "received_ms": time_ms,
    }  # fmt: skip
    return Event(**standard | fields)


def run_of(*events: Event) -> Run:
    run = NEW
    for one in events:
        run = after(run, one)
    return run


def test_start_and_end_in_any_order() -> None:
    events = [
        event("run.started", 100),
        event("stage.started", 110, stage="load"),
        event("stage.failed", 150, stage="load", data={"error": "disk full"}),
        event("run.failed", 200, data={"error": "load failed"}),
    ]
    whole = run_of(*events)
    assert (whole.status, whole.started_ms, whole.finished_ms, whole.duration_ms) == ("failed", 100, 200, 100)
    for order in permutations(events):
        run = run_of(*order)
        assert (run.status, run.started_ms, run.finished_ms) == ("failed", 100, 200)
        (stage,) = run.stages
        assert (stage.name, stage.status, stage.started_ms, stage.finished_ms, stage.error) == (
            "load", "failed", 110, 150, "disk full",
        )  # fmt: skip
        assert run.updated_ms == 200
        assert run.error


@given(STORIES, st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(story: list[tuple[str, int]], random: Any) -> None:
    """For what is decided: the start, and the end that came last in the story."""
    ends = [(ms, RUN_STATUS[kind]) for kind, ms in story if RUN_STATUS[kind] in ENDED]
    starts = [ms for kind, ms in story if kind == "run.started"]
    shuffled = list(story)
    random.shuffle(shuffled)
    run = run_of(*(event(kind, ms) for kind, ms in shuffled))
    assert run.started_ms == (min(starts) if starts else None)
    assert run.updated_ms == max(ms for _, ms in story)
    if ends:
        assert (run.finished_ms, run.status) == max(ends)
    else:
        assert run.finished_ms is None
        assert run.status in ("running", "paused")


@given(st.lists(st.tuples(st.sampled_from(sorted({**RUN_STATUS, **STAGE_STATUS})), st.integers(0, 100)), max_size=20))
def test_an_end_stays_an_end(story: list[tuple[str, int]]) -> None:
    run = run_of(event("run.succeeded", 50))
    for kind, ms in story:
        run = after(run, event(kind, ms, stage="s"))
        assert run.status in ENDED
        assert run.finished_ms is not None
        assert run.duration_ms is None or run.duration_ms >= 0


def test_a_late_start_does_not_reopen_a_run() -> None:
    run = run_of(event("run.failed", 200), event("run.started", 100), event("run.progress", 150))
    assert (run.status, run.duration_ms) == ("failed", 100)


def test_the_later_end_counts() -> None:
    assert run_of(event("run.failed", 100), event("run.succeeded", 200)).status == "succeeded"
    assert run_of(event("run.succeeded", 200), event("run.failed", 100)).status == "succeeded"


def test_stages_are_bounded() -> None:
    run = run_of(*(event("stage.started", n, stage=f"s{n}") for n in range(MAX_STAGES + 50)))
    assert len(run.stages) == MAX_STAGES
    assert run.stages[-1].name == f"s{MAX_STAGES + 49}"


def test_what_concerns_no_run() -> None:
    assert not concerns_run(event("run.failed", 1, run_id=""))
    assert not concerns_run(event("alert", 1))
    assert concerns_run(event("stage.failed", 1))
    assert after(NEW, event("alert", 1)) == NEW


def test_errors_are_kept_and_bounded() -> None:
    # S2-04 S2-07
    run = run_of(event("run.failed", 1, data={"error": "x" * 10_000}))
    assert len(run.error) == 4000
    assert run_of(event("run.failed", 1, message="words")).error == "words"
    assert run_of(event("run.failed", 1, data={"error": {"not": "text"}}, message="words")).error == "words"
    assert after(run, event("run.succeeded", 2)).error == run.error


@pytest.mark.parametrize(
    ("kind", "data", "run", "stage"),
    [
        ("run.failed", {}, 1, 0),
        ("run.failed", {"attempt": 3}, 3, 3),
        ("run.failed", {"run_attempt": 2, "attempt": 3}, 2, 3),
        ("run.failed", {"attempt": "3"}, 1, 0),
        ("run.failed", {"attempt": True}, 1, 0),
        ("run.failed", {"attempt": 0}, 1, 0),
        ("run.failed", {"attempt": 10**9}, 1, 0),
        ("stage.failed", {}, 0, 0),
        ("stage.failed", {"attempt": 3}, 0, 3),
        ("stage.failed", {"stage_attempt": 3, "attempt": 2}, 2, 3),
        ("stage.failed", {"stage_attempt": 3}, 0, 3),
        ("stage.failed", {"run_attempt": 2, "attempt": 3}, 2, 3),
        ("alert", {}, 0, 0),
        ("alert", {"attempt": 2}, 2, 2),
    ],
)
def test_which_attempt_an_event_is_about(kind: str, data: dict[str, Any], run: int, stage: int) -> None:
    assert attempt_named(kind, data) == run
    assert stage_attempt(data) == stage


def stage_of(*events: Event) -> Stage:
    (stage,) = run_of(*events).stages
    return stage


def a_stage(kind: str, ms: int, **data: Any) -> Event:
    return event(f"stage.{kind}", ms, stage="load", data=data)


def test_the_tries_of_a_stage() -> None:
    first = [a_stage("started", 10, attempt=1), a_stage("failed", 20, attempt=1, will_retry=True, error="no disk")]
    failed = stage_of(*first)
    assert (failed.status, failed.will_retry, failed.error, failed.attempt) == ("failed", True, "no disk", 1)
    second = stage_of(*first, a_stage("started", 30, attempt=2))
    assert (second.status, second.will_retry, second.started_ms, second.finished_ms) == ("running", False, 30, None)
    for order in permutations([*first, a_stage("started", 30, attempt=2), a_stage("succeeded", 50, attempt=2)]):
        stage = stage_of(*order)
        assert (stage.status, stage.attempt, stage.duration_ms, stage.error) == ("succeeded", 2, 20, "no disk")


def test_a_start_after_the_end_of_a_stage_is_another_try() -> None:
    events = [a_stage("started", 10), a_stage("failed", 20, error="no disk"), a_stage("started", 30)]
    again = stage_of(*events)
    assert (again.status, again.attempt, again.started_ms) == ("running", 2, 30)
    assert stage_of(*events, a_stage("succeeded", 40)).status == "succeeded"
    late = stage_of(a_stage("failed", 20), a_stage("started", 10), a_stage("progress", 15))
    assert (late.status, late.attempt, late.duration_ms) == ("failed", 1, 10)
    assert stage_of(a_stage("failed", 20), a_stage("succeeded", 10)).status == "failed"  # the later end counts


@pytest.mark.parametrize(
    ("index", "label"), [(3, "load[3]"), (0, "load[0]"), (-1, "load"), (True, "load"), ("3", "load")]
)
def test_what_a_stage_that_runs_over_a_list_is_called(index: Any, label: str) -> None:
    assert stage_of(a_stage("started", 10, map_index=index)).label == label


def test_what_comes_a_little_late_is_not_old() -> None:
    """Every event comes after its time; the one after it may be about a time before that."""
    run = run_of(event("run.started", 100, received_ms=150, title="one"), event("run.progress", 120, title="two"))
    assert run.about.title == "two"
    older = after(run, event("run.paused", 110, title="between", labels={"a": "b"}, data={"log": "x", "rows": 5}))
    assert (older.about.title, older.status) == ("two", "running")
    assert (older.about.labels, older.about.data) == ({"a": "b"}, {"rows": 5})
    ahead = after(older, event("run.progress", 10**15, received_ms=200, title="a clock that is ahead"))
    assert after(ahead, event("run.progress", 210, title="three")).about.title == "three"


def test_since_when_it_is_known() -> None:
    assert run_of(a_stage("failed", 50), event("run.progress", 30)).about.from_ms == 30


def test_what_tocsin_finds_out_is_no_part_of_the_run() -> None:
    assert not concerns_run(event("run.warning", 1, source="tocsin"))


def test_the_error_of_a_run_is_its_own_or_that_of_its_last_stage() -> None:
    story = [a_stage("failed", 10, error="of the stage"), event("run.failed", 20, data={"error": "of the run"})]
    assert {run_of(*order).error for order in permutations(story)} == {"of the run"}
    assert run_of(event("run.failed", 20), a_stage("failed", 10, error="of the stage")).error == "of the stage"
    assert run_of(event("run.failed", 20, data={"error": "x" * 5000 + "the end"})).error.endswith("the end")
    late = run_of(event("run.failed", 20, data={"error": "new"}), event("run.failed", 10, data={"error": "old"}))
    assert late.error == "new"


def test_the_log_is_cut_at_whole_characters() -> None:
    run = run_of(event("run.progress", 1, data={"log": "ö" * LOG_BYTES}))
    assert run.log_tail == "ö" * (LOG_BYTES // 2)
    assert run_of(event("run.progress", 1, data={"log": ["no text"], "log_tail": 5})).log_tail == ""
