"""Runs: what the events say of each execution."""

from typing import Any

from msgspec import Struct
from starlette.responses import Response

from tocsin.model.errors import NotFound
from tocsin.model.run import Run, RunStatus
from tocsin.store import log
from tocsin.web.api.run_why import RunWhy, why
from tocsin.web.routes import (
    LAST,
    PAGE,
    Call,
    Param,
    Route,
    cursor_of,
    filters_of,
    no_nul,
    page,
    page_limit,
    reply,
    rfc3339,
)

FILTERS = ("pipeline", "status", "run_id", "parent_run_id")
MOST_CHILDREN = 100


class StageOut(Struct, frozen=True):
    """A part of a run; `map_index` tells apart those of one name."""

    name: str
    map_index: int | None
    attempt: int
    status: str
    will_retry: bool
    started_at: str | None
    finished_at: str | None
    duration_s: float | None
    error: str


class RunOut(Struct, frozen=True, kw_only=True):
    """A run as its events tell it. `late_s`: so much later than scheduled it began."""

    id: str
    pipeline: str
    run_id: str
    attempt: int
    parent_run_id: str
    status: str
    started_at: str | None
    finished_at: str | None
    duration_s: float | None
    late_s: float | None
    error: str
    stages: tuple[StageOut, ...]


class RunWhole(RunOut, frozen=True, kw_only=True):
    """`children`: the ids of the runs that it started, 100 at the most."""

    log_tail: str
    children: tuple[str, ...]


def fields(run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "pipeline": run.pipeline,
        "run_id": run.run_id,
        "attempt": run.attempt,
        "parent_run_id": run.parent_run_id,
        "status": run.status,
        "started_at": rfc3339(run.started_ms),
        "finished_at": rfc3339(run.finished_ms),
        "duration_s": None if run.duration_ms is None else run.duration_ms / 1000,
        "late_s": None if run.late_ms is None else run.late_ms / 1000,
        "error": run.error,
        "stages": tuple(
            StageOut(
                name=stage.name,
                map_index=stage.map_index,
                attempt=stage.attempt,
                status=stage.status,
                will_retry=stage.will_retry,
                started_at=rfc3339(stage.started_ms),
                finished_at=rfc3339(stage.finished_ms),
                duration_s=None if stage.duration_ms is None else stage.duration_ms / 1000,
                error=stage.error,
            )
            for stage in run.stages
        ),
    }


async def list_(call: Call) -> Response:
    limit = page_limit(call)
    filters = filters_of(call, FILTERS)
    before = cursor_of(call, LAST)
    found = await log.list_runs(call.app.db, call.tenant_id, before=before, limit=limit + 1, filters=filters)
    return reply(page([RunOut(**fields(run)) for run in found], limit, lambda run: str(run.id)))


async def get(call: Call) -> Response:
    run = await log.get_run(call.app.db, call.tenant_id, no_nul("id", call.path("id")))
    if run is None:
        raise NotFound("No such run.")
    children: tuple[str, ...] = ()
    if run.run_id:
        filters = {"parent_run_id": run.run_id}
        found = await log.list_runs(call.app.db, call.tenant_id, before=LAST, limit=MOST_CHILDREN, filters=filters)
        children = tuple(child.id for child in found)
    return reply(RunWhole(**fields(run), log_tail=run.log_tail, children=children))


ROUTES = (
    Route(
        method="GET",
        path="/v1/runs",
        handler=list_,
        summary="Runs, newest first",
        role="viewer",
        answer=RunOut,
        query={name: f"Only this {name}" for name in FILTERS}
        | {"status": Param("Only in this state", RunStatus)}
        | PAGE,
    ),
    Route(
        method="GET",
        path="/v1/runs/{id}",
        handler=get,
        summary="One run with its stages, log and children",
        role="viewer",
        answer=RunWhole,
    ),
    Route(
        method="GET",
        path="/v1/runs/{id}/why",
        handler=why,
        summary="Who was told of a run, and why nobody else was",
        role="viewer",
        answer=RunWhy,
    ),
)
