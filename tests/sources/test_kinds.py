"""Whatever a source calls it, what happened has one normal form."""

import pytest

from tocsin.model.event import KINDS
from tocsin.sources.kinds import RUN_KINDS, STAGE_KINDS, kind_of

# S1-12, S3-03, S4-04: the events that the source documents name
DOCUMENTED = {
    "training.started": "run.started",
    "training.complete": "run.succeeded",
    "training.failed": "run.failed",
    "hpo.campaign_started": "run.started",
    "hpo.trial_complete": "stage.succeeded",
    "hpo.trial_failed": "stage.failed",
    "hpo.campaign_complete": "run.succeeded",
    "hpo.campaign_failed": "run.failed",
    "safety.rollback": "safety.rollback",
    "safety_rollback": "safety.rollback",
    "experiment.started": "run.started",
    "experiment.paused": "run.paused",
    "experiment.stopped": "run.cancelled",
    "experiment.completed": "run.succeeded",
    "rollout.stage_advance": "rollout.advanced",
    "rollout.stage_advanced": "rollout.advanced",
    "rollout.advanced": "rollout.advanced",
    "rollout.completed": "run.succeeded",
    "rollout.failed": "run.failed",
    "alert": "alert",
    "alert.resolved": "alert.resolved",
    "workflow.failed": "run.failed",
    "workflow.succeeded": "run.succeeded",
    "workflow.exceeded": "run.exceeded",
    "workflow.duration_exceeded": "run.exceeded",
}


@pytest.mark.parametrize(("given", "kind"), DOCUMENTED.items())
def test_documented_types_have_their_kind(given: str, kind: str) -> None:
    assert kind_of(given) == kind


@pytest.mark.parametrize(
    "family", ["run", "pipeline", "workflow", "execution", "job", "flow", "training", "experiment"]
)
@pytest.mark.parametrize(
    ("word", "verb"),
    [
        *[(word, "started") for word in ("started", "start", "running")],
        *[
            (word, "succeeded")
            for word in ("completed", "complete", "success", "succeeded", "finished", "done", "passed")
        ],
        *[(word, "failed") for word in ("failed", "failure", "error", "errored", "crashed", "timed_out", "timeout")],
        *[(word, "cancelled") for word in ("cancelled", "canceled", "aborted", "killed", "stopped")],
        *[(word, "progress") for word in ("progress", "update", "heartbeat")],
        ("warning", "warning"),
        ("exceeded", "exceeded"),
        ("missed", "missed"),
        ("paused", "paused"),
    ],
)
def test_every_family_speaks_every_synonym(family: str, word: str, verb: str) -> None:
    assert kind_of(f"{family}.{word}") == f"run.{verb}"


@pytest.mark.parametrize(
    ("given", "kind"),
    {
        "stage.skipped": "stage.skipped",
        "task.timed_out": "stage.failed",
        "pipeline.stage.failed": "stage.failed",
        "task.run.failed": "stage.failed",
        "task.cancelled": "stage.skipped",
        "run.skipped": "run.cancelled",
        "RUN.Timed-Out": "run.failed",
        "run_failed": "run.failed",
        "alert.firing": "alert",
        "alert.": "alert",
        "invoice.paid": "other",
        "failed": "other",
        "run": "other",
        "run.failed.twice": "other",
        "task.exceeded": "other",
        "": "other",
        "...": "other",
    }.items(),
)
def test_the_edges(given: str, kind: str) -> None:
    assert kind_of(given) == kind


def test_every_kind_in_the_tables_is_one_of_the_model() -> None:
    assert {*RUN_KINDS.values(), *STAGE_KINDS.values()} <= set(KINDS)


def test_invented_types_do_not_fill_the_memory() -> None:
    for number in range(10_000):
        kind_of(f"invented.{number}")
    assert kind_of.cache_info().currsize <= 4096
