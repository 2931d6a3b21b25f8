"""Runs: what the events say of each execution."""

from statistics import median
from typing import Any, Literal

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
LAST_GOOD, LEAST_GOOD = 20, 3
MOST_LOOKED_AT = 20_000
"""Runs that a page looks through for those in one state."""


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
    """A run as its events tell it. `late_s`: so long after its due time it ended. `usual_s`: the median of the last
    20 good runs of its pipeline, where there are 3; in lists only where they are asked `with=usual`."""

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
    usual_s: float | None = None
    error: str
    updated_at: str | None
    stages: tuple[StageOut, ...]


class RunWhole(RunOut, frozen=True, kw_only=True):
    """What its events said of it last: `title`, `message`, `labels`, `links`. `due_at`: when it should have ended, once
    that is past. `history_s`: how long the last good runs of its pipeline took, the newest first. `children`: the ids
    of the runs that it started, 100 at the most."""

    title: str
    message: str
    labels: dict[str, str]
    links: dict[str, str]
    due_at: str | None
    history_s: tuple[float, ...]
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
        "updated_at": rfc3339(run.updated_ms),
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
    db, tenant_id = call.app.db, call.tenant_id
    limit = page_limit(call)
    filters = filters_of(call, FILTERS)
    before = cursor_of(call, LAST)
    floor = ""
    if "status" in filters and not filters.keys() & {"run_id", "parent_run_id"}:  # which have an index
        floor = await log.run_floor(db, tenant_id, before, MOST_LOOKED_AT)
    asked = filters | ({"floor": floor} if floor else {})
    found = await log.list_runs(db, tenant_id, before=before, limit=limit + 1, filters=asked)
    took: dict[str, list[int]] = {}
    if found and call.request.query_params.get("with"):
        took = await log.good_runs_of(db, tenant_id, {run.pipeline for run in found[:limit]}, LAST_GOOD)
    items = [RunOut(**fields(run), usual_s=usual_of(took.get(run.pipeline, []))) for run in found]
    return reply(page(items, limit, lambda run: str(run.id), floor))


def usual_of(took_ms: list[int]) -> float | None:
    """Their median in seconds; None of too few."""
    return median(took_ms) / 1000 if len(took_ms) >= LEAST_GOOD else None


async def get(call: Call) -> Response:
    run = await log.get_run(call.app.db, call.tenant_id, no_nul("id", call.path("id")))
    if run is None:
        raise NotFound("No such run.")
    children: tuple[str, ...] = ()
    if run.run_id:
        filters = {"parent_run_id": run.run_id}
        found = await log.list_runs(call.app.db, call.tenant_id, before=LAST, limit=MOST_CHILDREN, filters=filters)
        children = tuple(child.id for child in found)
    history = await log.good_runs(call.app.db, call.tenant_id, run.pipeline, LAST_GOOD)
    return reply(
        RunWhole(
            **fields(run),
            usual_s=usual_of(history),
            title=run.about.title,
            message=run.about.message,
            labels=run.about.labels,
            links=run.about.links,
            due_at=rfc3339(run.about.due_ms or None),
            history_s=tuple(ms / 1000 for ms in history),
            log_tail=run.log_tail,
            children=children,
        )
    )


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
        | {"with": Param("`usual`: how long each usually takes, too", Literal["usual"])}
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
