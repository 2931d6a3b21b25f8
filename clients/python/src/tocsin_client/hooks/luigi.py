"""Luigi: `with watched("nightly"): luigi.build([...])`, or `connect(run)` around anything else that runs tasks."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import luigi

from tocsin_client import Run, Stage, Tocsin, shared


@contextmanager
def watched(pipeline: str, run_id: str | None = None, client: Tocsin | None = None, **about: Any) -> Iterator[Run]:
    """A run whose stages are the tasks that run meanwhile, in this process or in those that Luigi forks for them
    (workers=2). Luigi's build does not raise for a failed task: the run fails where one of its tasks did, and was not
    done at another try."""
    run = (client or shared()).run(pipeline, run_id, **about)
    with run:
        outcomes = connect(run)
        try:
            yield run
        finally:
            disconnect()
        if failed := outcomes.failed():
            run.fail("; ".join(f"{task}: {error}" for task, error in failed.items()))


class Outcomes:
    """How tasks ended, told by several processes: a file without a name, to which all that were forked append."""

    def __init__(self) -> None:
        self.file = tempfile.TemporaryFile("ab+", buffering=0)  # noqa: SIM115  the forked ones have it as long as they live

    def add(self, task: str, error: str) -> None:
        os.write(self.file.fileno(), json.dumps([task, error]).encode() + b"\n")

    def failed(self) -> dict[str, str]:
        """The tasks whose last try failed, and why."""
        self.file.seek(0)
        last = dict(json.loads(line) for line in self.file)
        return {task: error for task, error in last.items() if error}


_current: list[tuple[Run, Outcomes, dict[str, Stage]]] = []


def connect(run: Run) -> Outcomes:
    """From now on, and until `disconnect()`, the tasks of this process and of those it forks are stages of the run."""
    if not _known:
        for event, handler in HANDLERS.items():
            luigi.Task.event_handler(event)(handler)
        _known.append(True)
    outcomes = Outcomes()
    _current.append((run, outcomes, {}))
    return outcomes


def disconnect() -> None:
    _current.pop()


def started(task: Any) -> None:
    for run, _, stages in _current[-1:]:
        stages[task.task_id] = run.stage(task.task_id).start()


def succeeded(task: Any) -> None:
    for _, outcomes, stages in _current[-1:]:
        outcomes.add(task.task_id, "")
        if task.task_id in stages:
            stages.pop(task.task_id).succeed()


def broke(task: Any, error: BaseException | str) -> None:
    """By its own exception; or, in Luigi's words, because it took too long or its process died."""
    for run, outcomes, stages in _current[-1:]:
        said = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
        outcomes.add(task.task_id, said or "it failed")
        stage = stages.pop(task.task_id, None) or run.stage(task.task_id).start()
        stage.fail(error)


_known: list[bool] = []
HANDLERS = {
    luigi.Event.START: started,
    luigi.Event.SUCCESS: succeeded,
    luigi.Event.FAILURE: broke,
    luigi.Event.BROKEN_TASK: broke,
    luigi.Event.TIMEOUT: broke,
    luigi.Event.PROCESS_FAILURE: broke,
}
