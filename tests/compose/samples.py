"""Events as sources send them, for the tests of words and of every provider."""

from typing import Any

from tocsin.model.event import Action, Event
from tocsin.model.run import Run, Stage

AT_MS = 1_795_226_400_000  # 2026-11-21T02:00:00Z

TRACEBACK = """Traceback (most recent call last):
  File "/app/train.py", line 88, in <module>
    main()
  File "/app/evaluate.py", line 12, in evaluate
    scores = model(batch)
torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB
"""


def event(event_type: str, kind: str, **fields: Any) -> Event:
    """An event with the fields that every one has filled in."""
    given: dict[str, Any] = {
        "uid": "evt_0198c5f20000700080000000000000a1",
        "tenant_id": "default",
        "id": "e-1",
        "source": "airflow",
        "type": event_type,
        "kind": kind,
        "time_ms": AT_MS,
        "received_ms": AT_MS + 40,
    }
    return Event(**(given | fields))


def run(**fields: Any) -> Run:
    """The run of train-ranker, which started 12 min 31 s before the event."""
    given: dict[str, Any] = {
        "id": "run_1",
        "tenant_id": "default",
        "pipeline": "train-ranker",
        "run_id": "8f3a21c",
        "status": "running",
        "started_ms": AT_MS - 751_000,
    }
    return Run(**(given | fields))


PLACE: dict[str, Any] = {"pipeline": "train-ranker", "run_id": "8f3a21c", "labels": {"env": "prod", "owner": "ana"}}
LINKS = {"run": "https://airflow.example/runs/8f3a21c", "logs": "https://airflow.example/logs/8f3a21c?a=1&b=2"}
STAGES = (Stage("load", "succeeded"), Stage("train", "succeeded"), Stage("evaluate", "running"))
ENDED = run(status="failed", finished_ms=AT_MS, error=TRACEBACK, stages=(*STAGES[:2], Stage("evaluate", "failed")))

SAMPLES: dict[str, tuple[Event, Run | None]] = {
    "started": (event("workflow.started", "run.started", **PLACE, links=LINKS), run()),
    "progress": (event("workflow.progress", "run.progress", **PLACE, data={"progress": 0.4}), run(stages=STAGES)),
    "paused": (event("workflow.paused", "run.paused", **PLACE), run(status="paused")),
    "stage": (
        event("stage.completed", "stage.succeeded", **PLACE, stage="train", data={"duration_s": 480}, links=LINKS),
        run(stages=STAGES),
    ),
    "stage-started": (event("stage.started", "stage.started", **PLACE, stage="evaluate"), run(stages=STAGES)),
    "stage-progress": (event("stage.progress", "stage.progress", **PLACE, stage="train"), run(stages=STAGES)),
    "stage-failed": (
        event("stage.failed", "stage.failed", **PLACE, stage="load", severity="error", data={"error": "no such table"}),
        run(),
    ),
    "stage-skipped": (event("stage.skipped", "stage.skipped", **PLACE, stage="publish"), run()),
    "succeeded": (
        event("workflow.succeeded", "run.succeeded", **PLACE, links=LINKS, data={"rows": 12400, "auc": 0.912}),
        run(status="succeeded", finished_ms=AT_MS),
    ),
    "failed": (event("workflow.failed", "run.failed", **PLACE, severity="error", links=LINKS), ENDED),
    "failed-alone": (
        event("run.failed", "run.failed", source="cron", pipeline="etl/orders", data={"error": "exit status 3"}),
        None,
    ),
    "warning": (
        event("run.warning", "run.warning", **PLACE, severity="warning", data={"reason": "3 rows dropped"}),
        run(),
    ),
    "cancelled": (event("run.cancelled", "run.cancelled", **PLACE), run(status="cancelled", finished_ms=AT_MS)),
    "exceeded": (
        event("run.exceeded", "run.exceeded", **PLACE, severity="warning", links=LINKS, data={"expected_s": 600}),
        run(),
    ),
    "missed": (
        event("run.missed", "run.missed", source="tocsin", pipeline="nightly", severity="error", data={"due": "02:00"}),
        None,
    ),
    "training-started": (
        event("training.started", "run.started", source="dashboard", data={"experiment_name": "ResNet34_Test"}),
        None,
    ),
    "training-complete": (
        event(
            "training.complete",
            "run.succeeded",
            source="dashboard",
            data={
                "experiment_name": "ResNet34_Test",
                "accuracy": 0.968,
                "duration": "14m 32s",
                "experiment_id": 1234,
                "dashboard_url": "http://localhost:8050/experiments/1234",
            },
        ),
        None,
    ),
    "training-failed": (
        event(
            "training.failed",
            "run.failed",
            source="dashboard",
            severity="error",
            data={"experiment_name": "ResNet34_Test", "error": TRACEBACK, "epoch": 12},
        ),
        None,
    ),
    "hpo-started": (
        event("hpo.campaign_started", "run.started", data={"campaign_name": "study-42", "n_trials": 100}),
        None,
    ),
    "hpo-trial": (
        event(
            "hpo.trial_complete",
            "stage.succeeded",
            source="optuna",
            data={
                "campaign_name": "study-42",
                "trial": 37,
                "n_trials": 100,
                "value": 0.9034,
                "best_value": 0.912,
                "best_params": {"lr": 0.0003, "depth": 6, "act": "gelu"},
            },
        ),
        None,
    ),
    "hpo-study": (
        event(
            "hpo.campaign_complete",
            "run.succeeded",
            source="optuna",
            data={
                "campaign_name": "study-42",
                "n_trials": 100,
                "best_value": 0.912,
                "best_trial": 31,
                "best_params": {"lr": 0.0003, "depth": 6},
                "duration_s": 8070,
            },
            links={"dashboard": "https://optuna.example/studies/42"},
        ),
        None,
    ),
    "hpo-failed": (
        event("hpo.campaign_failed", "run.failed", data={"campaign_name": "study-42", "error": "all trials pruned"}),
        None,
    ),
    "rollback": (
        event(
            "safety_rollback",
            "safety.rollback",
            source="experiments",
            severity="critical",
            labels={"env": "prod"},
            data={
                "flag_name": "new-ranker",
                "from_version": "v18",
                "to_version": "v17",
                "reason": "p95 latency 812 ms is over 500 ms for 5 minutes",
                "trigger": "p95_latency",
                "error_rate": 0.042,
            },
            links={"runbook": "https://wiki.example/rollback", "dashboard": "https://grafana.example/d/1"},
        ),
        None,
    ),
    "rollout": (
        event("rollout.stage_advanced", "rollout.advanced", data={"flag_name": "new-ranker", "traffic": "25 %"}),
        None,
    ),
    "experiment-started": (
        event("experiment.started", "run.started", data={"experiment_name": "checkout-colour", "variants": 3}),
        None,
    ),
    "experiment-paused": (
        event("experiment.paused", "run.paused", data={"experiment_name": "checkout-colour", "user": "abbas"}),
        None,
    ),
    "experiment-stopped": (
        event("experiment.stopped", "run.cancelled", data={"experiment_name": "checkout-colour"}),
        None,
    ),
    "experiment-completed": (
        event(
            "experiment.completed",
            "run.succeeded",
            data={"experiment_name": "checkout-colour", "winner": "green", "duration_s": 1_209_600},
        ),
        None,
    ),
    "alert": (
        event(
            "alert",
            "alert",
            source="alertmanager",
            severity="critical",
            title="Disk is full on db-1",
            message="97 % of /var is used.\nIt grows by 2 % an hour.",
            labels={"env": "prod"},
            actions=(Action("Silence", "https://am.example/silence", "danger"),),
        ),
        None,
    ),
    "alert-untitled": (event("disk.full", "alert", source="watchdog", severity="warning", labels={"env": "dev"}), None),
    "alert-resolved": (event("alert.resolved", "alert.resolved", source="alertmanager", pipeline="db-1"), None),
    "other": (event("deploy.smoke_test_done", "other", source="ci", pipeline="shop"), None),
    "titled": (event("custom.thing", "other", title="Weekly numbers are in", message="Revenue is up."), None),
    "bare": (event("x", "other", source="curl"), None),
}

HOSTILE = (
    "<!channel> @everyone <@U012AB3CD> [x](javascript:alert(1)) `*bold*` _i_ ~s~ :tada:"
    "\r\nSet-Cookie: a=b \u202egnp.exe\x1b[2J &amp; <https://evil.example|ok>"
)
