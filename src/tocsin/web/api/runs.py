"""Runs: what the events say of each execution."""

from typing import Any

from starlette.responses import Response

from tocsin.model.errors import NotFound
from tocsin.model.run import Run
from tocsin.store import log
from tocsin.web.routes import LAST, Call, Route, cursor_of, filters_of, no_nul, page, page_limit, reply, rfc3339

FILTERS = ("pipeline", "status", "run_id")


def shown(run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "pipeline": run.pipeline,
        "run_id": run.run_id,
        "attempt": run.attempt,
        "status": run.status,
        "started_at": rfc3339(run.started_ms),
        "finished_at": rfc3339(run.finished_ms),
        "duration_s": None if run.duration_ms is None else run.duration_ms / 1000,
        "error": run.error,
        "stages": [
            {
                "name": stage.name,
                "status": stage.status,
                "started_at": rfc3339(stage.started_ms),
                "finished_at": rfc3339(stage.finished_ms),
                "error": stage.error,
            }
            for stage in run.stages
        ],
    }


async def list_(call: Call) -> Response:
    limit = page_limit(call)
    filters = filters_of(call, FILTERS)
    before = cursor_of(call, LAST)
    found = await log.list_runs(call.app.db, call.tenant_id, before=before, limit=limit + 1, filters=filters)
    return reply(page([shown(run) for run in found], limit, lambda run: str(run["id"])))


async def get(call: Call) -> Response:
    run = await log.get_run(call.app.db, call.tenant_id, no_nul("id", call.path("id")))
    if run is None:
        raise NotFound("No such run.")
    return reply(shown(run))


ROUTES = (
    Route(
        method="GET",
        path="/v1/runs",
        handler=list_,
        summary="Runs, newest first",
        role="viewer",
        query={name: f"Only this {name}" for name in FILTERS} | {"limit": "1 to 100", "cursor": "`next` of a page"},
    ),
    Route(method="GET", path="/v1/runs/{id}", handler=get, summary="One run with its stages", role="viewer"),
)
