"""Airflow: `TocsinNotifier()` as any callback of a DAG or a task; or, for all of them without a line in a DAG, the
listener: an `AirflowPlugin` with `listeners = [tocsin_client.hooks.airflow]`."""

from __future__ import annotations

from typing import Any

try:
    from airflow.sdk.bases.notifier import BaseNotifier
except ImportError:  # Airflow 2
    from airflow.notifications.basenotifier import BaseNotifier
try:
    from airflow.listeners import hookimpl
except ImportError:  # the task SDK alone has none

    def hookimpl(function: Any) -> Any:
        return function


from tocsin_client import shared

VERBS = {"success": "succeeded", "failed": "failed", "running": "started", "skipped": "skipped"}
VERBS.update(up_for_retry="failed", upstream_failed="skipped")
SAYS_NOTHING = ("task_failure", "success")
"""Why a DAG's run ended, where its tasks say more."""


class TocsinNotifier(BaseNotifier):
    """Tells of the run where it is a DAG's callback, of the task where it is a task's."""

    template_fields = ()

    def render_template_fields(self, context: Any, jinja_env: Any = None) -> None:
        """There are none; and where it is a DAG's callback, Airflow has nothing to render them with, and fails."""

    def notify(self, context: Any) -> None:
        instance, dag_run = context.get("task_instance") or context.get("ti"), context.get("dag_run")
        if "reason" in context:  # a DAG's callback: there may be a task in it as well, and the run's state may be old
            reason = str(context["reason"] or "")
            dag_id, run_id = (dag_run or context["dag"]).dag_id, context.get("run_id") or dag_run.run_id
            of_run(dag_id, run_id, "succeeded" if reason == "success" else "failed", reason)
        elif instance is not None:
            state = getattr(instance, "state", "")
            verb = VERBS.get(
                str(getattr(state, "value", state)), "progress"
            )  # Airflow 3's is "TaskInstanceState.FAILED"
            of_task(instance, verb, context.get("exception"))
        shared().flush(5)


def of_run(dag_id: object, run_id: object, verb: str, message: str = "") -> None:
    message = "" if message in SAYS_NOTHING else message
    data = {"error": message} if verb == "failed" and message else {}
    shared().emit(
        f"run.{verb}", source="airflow", pipeline=str(dag_id), run_id=str(run_id), message=message,
        data=data,
    )  # fmt: skip


def of_task(instance: Any, verb: str, error: Any = None) -> None:
    attempt, most = int(instance.try_number or 1), int(getattr(instance, "max_tries", 0) or 0)
    data: dict[str, Any] = {"stage_attempt": attempt, "map_index": getattr(instance, "map_index", -1)}
    if verb == "failed":
        data["error"] = f"{type(error).__name__}: {error}" if isinstance(error, BaseException) else str(error or "")
        data["will_retry"] = attempt <= most
    shared().emit(
        f"stage.{verb}", source="airflow", pipeline=str(instance.dag_id), run_id=str(instance.run_id),
        stage=str(instance.task_id), data=data,
    )  # fmt: skip


@hookimpl
def on_dag_run_running(dag_run: Any, msg: str) -> None:
    of_run(dag_run.dag_id, dag_run.run_id, "started")


@hookimpl
def on_dag_run_success(dag_run: Any, msg: str) -> None:
    of_run(dag_run.dag_id, dag_run.run_id, "succeeded")


@hookimpl
def on_dag_run_failed(dag_run: Any, msg: str) -> None:
    of_run(dag_run.dag_id, dag_run.run_id, "failed", msg)


@hookimpl
def on_task_instance_running(previous_state: Any, task_instance: Any) -> None:
    of_task(task_instance, "started")


@hookimpl
def on_task_instance_success(previous_state: Any, task_instance: Any) -> None:
    of_task(task_instance, "succeeded")


@hookimpl
def on_task_instance_failed(previous_state: Any, task_instance: Any, error: Any) -> None:
    of_task(task_instance, "failed", error)
