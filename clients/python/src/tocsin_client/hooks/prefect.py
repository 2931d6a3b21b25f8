"""Prefect: `@flow(**flow_hooks())`, `@task(**task_hooks())`."""

from __future__ import annotations

from typing import Any, Callable

from tocsin_client import Tocsin, shared

Hook = Callable[[Any, Any, Any], None]
RUNS = {"on_running": "started", "on_completion": "succeeded", "on_failure": "failed", "on_crashed": "failed"}
RUNS["on_cancellation"] = "cancelled"
TASKS = {"on_running": "started", "on_completion": "succeeded", "on_failure": "failed"}


def flow_hooks(client: Tocsin | None = None) -> dict[str, list[Hook]]:
    return {name: [of_flow(verb, client)] for name, verb in RUNS.items()}


def task_hooks(client: Tocsin | None = None) -> dict[str, list[Hook]]:
    return {name: [of_task(verb, client)] for name, verb in TASKS.items()}


def of_flow(verb: str, client: Tocsin | None) -> Hook:
    def tell_flow(flow: Any, flow_run: Any, state: Any) -> None:
        data = {"flow_run": str(flow_run.name), "attempt": max(1, int(getattr(flow_run, "run_count", 1) or 1))}
        if verb == "failed":
            data["error"] = str(state.message or state.name)
        (client or shared()).emit(
            f"run.{verb}", source="prefect", pipeline=str(flow.name), run_id=str(flow_run.id), stage="", data=data
        )

    return tell_flow


def of_task(verb: str, client: Tocsin | None) -> Hook:
    def tell_task(task: Any, task_run: Any, state: Any) -> None:
        data: dict[str, Any] = {"stage_attempt": max(1, int(getattr(task_run, "run_count", 1) or 1))}
        if verb == "failed":
            data["error"] = str(state.message or state.name)
        flow, run_id = flow_of(task_run)
        (client or shared()).emit(
            f"stage.{verb}", source="prefect", pipeline=flow, run_id=run_id, stage=str(task.name), data=data
        )

    return tell_task


def flow_of(task_run: Any) -> tuple[str, str]:
    """The flow's name is in the context in which the task runs."""
    run_id = str(getattr(task_run, "flow_run_id", "") or "")
    try:
        from prefect.context import FlowRunContext

        context = FlowRunContext.get()
        return (str(context.flow.name) if context and context.flow else ""), run_id
    except Exception:
        return "", run_id
