"""A run built up from its events: in whatever order they come, the end is the same."""

from itertools import permutations
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tocsin.model.event import Event
from tocsin.model.run import ENDED, RUN_STATUS, Run
from tocsin.rules.run_state import MAX_STAGES, STAGE_STATUS, after, concerns_run

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
