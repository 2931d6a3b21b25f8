"""Celery: `connect()` once, where the worker's app is made. Each task that a worker runs is a run, each retry
the next attempt of it; people are told of the last failure only."""

from __future__ import annotations

from typing import Any

from celery import signals

from tocsin_client import Tocsin, shared

_kept: list[object] = []


def connect(client: Tocsin | None = None) -> None:
    def tell(type: str, task: Any, request: Any, **data: Any) -> None:
        retries = int(getattr(request, "retries", 0) or 0)
        parent = getattr(request, "parent_id", None)
        if parent == getattr(request, "id", ""):  # a retry is its own child
            parent = None
        (client or shared()).emit(
            type,
            source="celery",
            pipeline=str(getattr(task, "name", task)),
            run_id=str(getattr(request, "id", "")),
            data={"attempt": retries + 1, **({"parent_run_id": parent} if parent else {}), **data},
        )

    def started(sender: Any = None, task_id: str = "", task: Any = None, **_: Any) -> None:
        tell("run.started", task, task.request)

    def succeeded(sender: Any = None, **_: Any) -> None:
        tell("run.succeeded", sender, sender.request)

    def failed(sender: Any = None, exception: Any = None, **_: Any) -> None:
        tell("run.failed", sender, sender.request, error=text_of(exception))

    def retried(sender: Any = None, request: Any = None, reason: Any = None, **_: Any) -> None:
        tell("run.failed", sender, request, error=text_of(reason), will_retry=True)

    def revoked(sender: Any = None, request: Any = None, **_: Any) -> None:
        tell("run.cancelled", sender, request)

    def ended(**_: Any) -> None:
        (client or shared()).close()

    pairs = {
        signals.task_prerun: started,
        signals.task_success: succeeded,
        signals.task_failure: failed,
        signals.task_retry: retried,
        signals.task_revoked: revoked,
        signals.worker_process_shutdown: ended,
    }
    for signal, handler in pairs.items():
        _kept.append(handler)  # signals hold what they call weakly
        signal.connect(handler)


def text_of(error: Any) -> str:
    error = getattr(error, "exc", None) or error  # Retry is about another exception
    return f"{type(error).__name__}: {error}" if isinstance(error, BaseException) else str(error)
