"""Dagster: `hooks={*op_hooks()}` on a job tells of its ops, `run_sensors()` in the definitions of its runs."""

from __future__ import annotations

from typing import Any

import dagster

from tocsin_client import Tocsin, shared

STATES = {
    dagster.DagsterRunStatus.STARTED: "started",
    dagster.DagsterRunStatus.SUCCESS: "succeeded",
    dagster.DagsterRunStatus.FAILURE: "failed",
    dagster.DagsterRunStatus.CANCELED: "cancelled",
}


def op_hooks(client: Tocsin | None = None) -> set[Any]:
    @dagster.success_hook(name="tocsin_success")
    def succeeded(context: Any) -> None:
        tell(context, "succeeded", {})

    @dagster.failure_hook(name="tocsin_failure")
    def failed(context: Any) -> None:
        error = context.op_exception
        tell(context, "failed", {"error": f"{type(error).__name__}: {error}"})

    def tell(context: Any, verb: str, data: dict[str, Any]) -> None:
        (client or shared()).emit(
            f"stage.{verb}",
            source="dagster",
            pipeline=context.job_name,
            run_id=context.run_id,
            stage=context.op.name,
            data=data,
        )

    return {succeeded, failed}


def run_sensors(client: Tocsin | None = None) -> list[Any]:
    return [sensor(state, verb, client) for state, verb in STATES.items()]


def sensor(state: Any, verb: str, client: Tocsin | None) -> Any:
    @dagster.run_status_sensor(run_status=state, name=f"tocsin_{verb}", monitor_all_code_locations=False)
    def tell(context: Any) -> None:
        run = context.dagster_run
        data = {"error": why(context)} if verb == "failed" else {}
        mine = client or shared()
        mine.emit(
            f"run.{verb}",
            id=f"dagster-{run.run_id}-{verb}",  # a sensor may tick twice
            source="dagster",
            pipeline=run.job_name,
            run_id=run.run_id,
            data=data,
        )
        mine.flush(5)  # the daemon ends its ticks without a word

    return tell


def why(context: Any) -> str:
    """The errors of the steps that failed; the run's own event only says which they are."""
    said = []
    for event in context.for_run_failure().get_step_failure_events():
        error = event.event_specific_data.error
        error = getattr(error, "cause", None) or error  # Dagster's own is around what the op raised
        said.append(f"{event.step_key}: {error.message.strip() if error else event.message}")
    return "; ".join(said) or str(context.dagster_event.message)
