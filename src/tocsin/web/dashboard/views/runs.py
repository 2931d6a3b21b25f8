"""Runs: what executed and how it went; and one of them, with its stages, its story and who was told of it."""

from datetime import UTC, datetime
from typing import Any, get_args

from starlette.responses import Response

from tocsin.model.run import RunStatus
from tocsin.web.dashboard.api import Refused
from tocsin.web.dashboard.tracing import (
    gantt,
    headline,
    links_of,
    log_lines,
    rule_path,
    took_of,
    verdict_tone,
)
from tocsin.web.dashboard.views.events import open_silences
from tocsin.web.dashboard.visit import Page, Visit
from tocsin.web.dashboard.wording import query
from tocsin.web.incident import collected, zipped

TABS = (("", "All"), ("running", "Running"), ("failed", "Failed"), ("succeeded", "Succeeded"), ("warning", "Warning"))
MOST_CHAPTERS = 60
MOST_CHILDREN = 20


async def show_list(visit: Visit) -> Response:
    status, pipeline = visit.query("status"), visit.query("pipeline")
    found = await visit.api.get(
        "/v1/runs",
        status=status,
        pipeline=pipeline,
        run_id=visit.query("run_id"),
        cursor=visit.query("cursor"),
        limit=50,
        **{"with": "usual"},
    )
    now_ms = visit.app.clock_ms()
    return await visit.page(
        "pages/runs.html",
        found=found,
        tabs=TABS,
        status=status,
        statuses=get_args(RunStatus),
        pipeline=pipeline,
        took={one["id"]: took_of(one, now_ms) for one in found["items"]},
    )


async def show(visit: Visit) -> Response:
    api = visit.api
    try:
        run = await api.get(f"/v1/runs/{visit.path('id')}")
    except Refused as refused:
        if refused.status != 404:
            raise
        return await instead(visit, refused)
    why = await api.get(f"/v1/runs/{run['id']}/why")
    children: list[dict[str, Any]] = []
    if run["run_id"] and run["children"]:
        children = (await api.get("/v1/runs", parent_run_id=run["run_id"], limit=MOST_CHILDREN))["items"]
    parent = None
    if run["parent_run_id"]:
        parent = next(iter((await api.get("/v1/runs", run_id=run["parent_run_id"], limit=1))["items"]), None)
    others = await api.get("/v1/runs", pipeline=run["pipeline"], limit=20) if run["pipeline"] else {"items": []}
    told = [one for event in why["events"] for one in event["deliveries"]]
    head, rest = headline(why["summary"], [one["summary"] for one in why["events"]])
    now_ms = visit.app.clock_ms()
    return await visit.page(
        "pages/run.html",
        run=run,
        why=why,
        head=head,
        rest=rest,
        tone=verdict_tone(told),
        told=told,
        chapters=why["events"][-MOST_CHAPTERS:],
        earlier=max(0, len(why["events"]) - MOST_CHAPTERS),
        children=children,
        parent=parent,
        others=others["items"][::-1],
        silences=await open_silences(visit, run["pipeline"]) if run["pipeline"] else [],
        gantt=gantt(run, now_ms),
        took=took_of(run, now_ms),
        lines=log_lines(run["log_tail"]),
        links=links_of(run["links"]),
        rule_path=rule_path,
    )


async def incident(visit: Visit) -> Response:
    """Everything about a run as a file; see web/incident.py."""
    id_ = visit.path("id")

    async def ask(path: str, **query: Any) -> Any:
        try:
            return await visit.api.get(path, **query)
        except Refused as refused:
            if refused.status == 404:
                return None
            raise

    why = await visit.api.get(f"/v1/runs/{id_}/why")
    found = await collected(ask, why, datetime.fromtimestamp(visit.app.clock_ms() / 1000, UTC))
    name = f"incident-{why['id']}"
    headers = {"content-disposition": f'attachment; filename="{name}.zip"', "cache-control": "no-store"}
    return Response(zipped(found, name), media_type="application/zip", headers=headers)


async def instead(visit: Visit, refused: Refused) -> Response:
    """Somebody's own run id leads to the newest run of that name."""
    try:
        found = await visit.api.get("/v1/runs", run_id=visit.path("id"), limit=1)
    except Refused:
        raise refused from None
    if not found["items"]:
        raise refused
    return visit.see(f"/runs/{found['items'][0]['id']}{query(dict(visit.request.query_params))}")


PAGES = (
    Page("GET", "/runs", show_list),
    Page("GET", "/runs/{id:path}", show),
)

FILES = (Page("GET", "/runs/{id}/incident.zip", incident),)
