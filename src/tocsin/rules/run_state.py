"""A run built up from its events, in whatever order they come."""

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from tocsin.model.event import Event
from tocsin.model.run import ENDED, RUN_STATUS, Run, RunAbout, Stage

ERROR_CHARS = 4000
MAX_STAGES = 200

STAGE_STATUS = {
    "stage.started": "running",
    "stage.progress": "running",
    "stage.succeeded": "succeeded",
    "stage.failed": "failed",
    "stage.skipped": "skipped",
}


def attempt_of(data: Mapping[str, Any]) -> int:
    """Which attempt of its run an event is about: its `data.attempt`, 1 where it says nothing of use."""
    found = data.get("attempt")
    return found if isinstance(found, int) and not isinstance(found, bool) and 1 <= found <= 1_000_000 else 1


def concerns_run(event: Event) -> bool:
    """Whether the event belongs to a run at all."""
    return bool(event.run_id) and (event.kind in RUN_STATUS or event.kind in STAGE_STATUS)


def after(run: Run, event: Event) -> Run:
    """The run as it is once this event is known. An end stays the end: what comes late fills in, it does not undo."""
    if event.kind in STAGE_STATUS:
        return after_stage(run, event)
    status = RUN_STATUS.get(event.kind)
    if status is None:
        return run
    ended = run.status in ENDED
    run = replace(run, about=about(run, event))
    if status in ENDED:
        late = ended and run.finished_ms is not None and event.time_ms < run.finished_ms
        return replace(
            run,
            status=run.status if late else status,
            finished_ms=run.finished_ms if late else event.time_ms,
            updated_ms=max(run.updated_ms, event.received_ms),
            error=error_of(event) or run.error if status != "succeeded" else run.error,
        )
    started = event.time_ms if event.kind == "run.started" else run.started_ms
    if run.started_ms is not None and started is not None:
        started = min(started, run.started_ms)
    return replace(
        run,
        status=run.status if ended else status,
        started_ms=started,
        updated_ms=max(run.updated_ms, event.received_ms),
    )


def about(run: Run, event: Event) -> RunAbout:
    """What is said of the run as a whole: the newest word counts, and nothing is forgotten."""
    was = run.about
    if run.updated_ms and event.time_ms < run.updated_ms and was.type:  # it comes late: it fills in what is missing
        return RunAbout(
            was.type,
            was.severity,
            was.title,
            was.message,
            {**event.labels, **was.labels},
            {**event.data, **was.data},
            {**event.links, **was.links},
        )
    return RunAbout(
        event.type,
        event.severity,
        event.title,
        event.message,
        {**was.labels, **event.labels},
        {**was.data, **event.data},
        {**was.links, **event.links},
    )


def after_stage(run: Run, event: Event) -> Run:
    status = STAGE_STATUS[event.kind]
    name = event.stage or "stage"
    known = next((stage for stage in run.stages if stage.name == name), Stage(name, "running"))
    over = status != "running"
    stage = Stage(
        name,
        known.status if known.finished_ms is not None and not over else status,
        event.time_ms if event.kind == "stage.started" else known.started_ms,
        event.time_ms if over else known.finished_ms,
        error_of(event) if status == "failed" else known.error,
    )
    others = tuple(stage if old.name == name else old for old in run.stages)
    stages = others if any(old.name == name for old in run.stages) else (*run.stages, stage)[-MAX_STAGES:]
    return replace(
        run,
        status="running" if run.status == "unknown" else run.status,
        stages=stages,
        updated_ms=max(run.updated_ms, event.received_ms),
        error=stage.error or run.error,
    )


def error_of(event: Event) -> str:
    """The error an event reports: its `data.error`, else its message."""
    error = event.data.get("error")
    return (error if isinstance(error, str) else event.message)[:ERROR_CHARS]
