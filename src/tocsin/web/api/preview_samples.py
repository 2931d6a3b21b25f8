"""Sample events to preview messages with: what a training pipeline sends, an experiment, an alert."""

from typing import Any, Literal

import msgspec

from tocsin.model.event import Event
from tocsin.model.run import Run
from tocsin.rules import run_state
from tocsin.sources.native import decode_native
from tocsin.stages.intake import as_event

Sample = Literal[
    "started", "stage", "succeeded", "failed", "exceeded", "training-complete", "hpo-trial", "hpo-study", "rollback",
    "experiment-completed", "alert", "alert-resolved",
]  # fmt: skip

RUN: dict[str, Any] = {
    "source": "airflow",
    "pipeline": "train-ranker",
    "run_id": "8f3a21c",
    "labels": {"env": "prod", "owner": "ana"},
    "links": {"run": "https://airflow.example/runs/8f3a21c", "logs": "https://airflow.example/logs/8f3a21c"},
}
ERROR = """\
Traceback (most recent call last):
  File "/app/train.py", line 88, in <module>
    main()
  File "/app/evaluate.py", line 12, in evaluate
    scores = model(batch)
torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB"""

History = list[tuple[int, dict[str, Any]]]
"""Events, each with the seconds that it lies before the last one."""

STARTED: History = [(751, {"type": "run.started"} | RUN)]
STAGES: History = [
    *STARTED,
    (750, {"type": "stage.started", "stage": "load"} | RUN),
    (738, {"type": "stage.succeeded", "stage": "load"} | RUN),
    (738, {"type": "stage.started", "stage": "train"} | RUN),
    (240, {"type": "stage.succeeded", "stage": "train", "data": {"epochs": 12, "loss": 0.083}} | RUN),
]
EVALUATING: History = [*STAGES, (240, {"type": "stage.started", "stage": "evaluate"} | RUN)]
STUDY: dict[str, Any] = {"source": "optuna", "links": {"dashboard": "https://optuna.example/studies/42"}}

HISTORIES: dict[Sample, History] = {
    "started": STARTED,
    "stage": STAGES,
    "succeeded": [
        *EVALUATING,
        (0, {"type": "stage.succeeded", "stage": "evaluate"} | RUN),
        (0, {"type": "run.succeeded", "data": {"rows": 12400, "auc": 0.912}} | RUN),
    ],
    "failed": [
        *EVALUATING,
        (0, {"type": "stage.failed", "stage": "evaluate", "data": {"error": ERROR}} | RUN),
        (0, {"type": "run.failed", "data": {"error": ERROR}} | RUN),
    ],
    "exceeded": [*EVALUATING, (0, {"type": "run.exceeded", "data": {"expected_s": 600}} | RUN)],
    "training-complete": [
        (0, {
            "type": "training.complete",
            "source": "dashboard",
            "data": {
                "experiment_name": "ResNet34_Test", "accuracy": 0.968, "duration": "14m 32s", "experiment_id": 1234,
                "dashboard_url": "https://dashboard.example/experiments/1234",
            },
        }),
    ],
    "hpo-trial": [
        (0, STUDY | {
            "type": "hpo.trial_complete",
            "data": {
                "campaign_name": "study-42", "trial": 37, "n_trials": 100, "value": 0.9034, "best_value": 0.912,
                "best_params": {"lr": 0.0003, "depth": 6},
            },
        }),
    ],
    "hpo-study": [
        (0, STUDY | {
            "type": "hpo.campaign_complete",
            "data": {
                "campaign_name": "study-42", "n_trials": 100, "best_value": 0.912, "best_trial": 31,
                "best_params": {"lr": 0.0003, "depth": 6}, "duration_s": 8070,
            },
        }),
    ],
    "rollback": [
        (0, {
            "type": "safety_rollback",
            "source": "experiments",
            "severity": "critical",
            "labels": {"env": "prod"},
            "data": {
                "flag_name": "new-ranker", "from_version": "v18", "to_version": "v17", "trigger": "p95_latency",
                "reason": "p95 latency 812 ms is over 500 ms for 5 minutes", "error_rate": 0.042,
            },
            "links": {"dashboard": "https://grafana.example/d/1", "runbook": "https://wiki.example/rollback"},
        }),
    ],
    "experiment-completed": [
        (0, {
            "type": "experiment.completed",
            "source": "experiments",
            "data": {"experiment_name": "checkout-colour", "winner": "green", "duration_s": 1_209_600},
        }),
    ],
    "alert": [
        (0, {
            "type": "alert",
            "source": "alertmanager",
            "severity": "critical",
            "title": "Disk is full on db-1",
            "message": "97 % of /var is used.\nIt grows by 2 % an hour.",
            "labels": {"env": "prod", "alertname": "DiskFull"},
            "actions": [{"label": "Silence", "url": "https://alertmanager.example/#/silences/new", "style": "danger"}],
        }),
    ],
    "alert-resolved": [
        (0, {
            "type": "alert.resolved",
            "source": "alertmanager",
            "title": "Disk is full on db-1",
            "labels": {"env": "prod", "alertname": "DiskFull"},
        }),
    ],
}  # fmt: skip


def sample(name: Sample, tenant_id: str, now_ms: int) -> tuple[Event, Run | None]:
    """The last event of a history that ends now, and its run as that left it."""
    run: Run | None = None
    for age_s, fields in HISTORIES[name]:
        (draft,) = decode_native(msgspec.json.encode(fields))
        event = as_event(draft, "evt_preview", tenant_id, now_ms - age_s * 1000)
        if run_state.concerns_run(event):
            run = run or Run(id="run_preview", tenant_id=tenant_id, pipeline=event.pipeline, run_id=event.run_id)
            run = run_state.after(run, event)
    return event, run
