"""Luigi: `with watched("nightly"): luigi.build([...])`, or `connect(run)` around anything else that runs tasks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import luigi

from tocsin_client import Run, Stage, Tocsin, shared


@contextmanager
def watched(pipeline: str, run_id: str | None = None, client: Tocsin | None = None, **about: Any) -> Iterator[Run]:
    """A run whose stages are the tasks that run meanwhile in this process (workers=1). Luigi's build does not raise for
    a failed task: the run fails where one of its tasks did, and was not done at another try."""
    run = (client or shared()).run(pipeline, run_id, **about)
    failed: dict[str, str] = {}
    with run:
        connect(run, failed)
        try:
            yield run
        finally:
            disconnect()
        if failed:
            run.fail("; ".join(f"{task}: {error}" for task, error in failed.items()))


_current: list[tuple[Run, dict[str, str], dict[str, Stage]]] = []


def connect(run: Run, failed: dict[str, str]) -> None:
    if not _known:
        for event, handler in HANDLERS.items():
            luigi.Task.event_handler(event)(handler)
        _known.append(True)
    _current.append((run, failed, {}))


def disconnect() -> None:
    _current.pop()


def started(task: Any) -> None:
    for run, _, stages in _current[-1:]:
        stages[task.task_id] = run.stage(task.task_id).start()


def succeeded(task: Any) -> None:
    for _, failed, stages in _current[-1:]:
        failed.pop(task.task_id, None)
        if task.task_id in stages:
            stages.pop(task.task_id).succeed()


def broke(task: Any, error: BaseException) -> None:
    for run, failed, stages in _current[-1:]:
        failed[task.task_id] = f"{type(error).__name__}: {error}"
        stage = stages.pop(task.task_id, None) or run.stage(task.task_id).start()
        stage.fail(error)


_known: list[bool] = []
HANDLERS = {
    luigi.Event.START: started,
    luigi.Event.SUCCESS: succeeded,
    luigi.Event.FAILURE: broke,
    luigi.Event.BROKEN_TASK: broke,
}
