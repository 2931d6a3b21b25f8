"""Events: what came in and what became of it; and one of them, with why somebody was told or was not."""

from typing import Any

from starlette.responses import Response

from tocsin.model.errors import Invalid
from tocsin.model.event import SEVERITIES
from tocsin.web.dashboard.api import Refused
from tocsin.web.dashboard.named import called
from tocsin.web.dashboard.ownership import changeable
from tocsin.web.dashboard.tracing import (
    FILTERS,
    as_text,
    asked_of,
    covering,
    headline,
    links_of,
    matchers_said,
    rule_path,
    silence_ids,
    verdict_tone,
)
from tocsin.web.dashboard.visit import Page, Visit
from tocsin.web.dashboard.wording import part, query

TYPES = ("run.failed", "run.succeeded", "run.started", "run.warning", "stage.failed", "alert")
MOST_SENT = 20


async def show_list(visit: Visit) -> Response:
    text = visit.query("q")
    if not text:
        text = as_text({name: visit.query(name) for name in FILTERS.values()})
    asked = asked_of(text)
    if asked.words:
        return visit.see(f"/search{query({'q': asked.words})}")
    problem = f"{asked.unknown}: is no filter here." if asked.unknown else ""
    found: dict[str, Any] = {"items": [], "next": None}
    try:
        found = await visit.api.get(
            "/v1/events", **asked.filters, cursor=visit.query("cursor"), limit=50, **{"with": "outcome"}
        )
    except Refused as refused:
        if refused.field not in FILTERS.values():
            raise
        problem = f"{refused.field}: expected {refused.expected}, found {refused.found}."
    return await visit.page(
        "pages/events.html",
        found=found,
        text=text,
        filters=asked.filters,
        problem=problem,
        types=TYPES,
        severities=SEVERITIES,
    )


async def send_test(visit: Visit) -> Response:
    event = {"type": visit.form.get("type", ""), "source": "dashboard", "title": visit.form.get("title", "")}
    event |= {name: visit.form[name] for name in ("pipeline", "run_id", "severity") if visit.form.get(name)}
    sent = await visit.api.post("/v1/events", {name: value for name, value in event.items() if value})
    return visit.see(f"/events/{part(sent['id'])}", "The event came in. This is what became of it.")


def api_path(visit: Visit) -> str:
    return f"/v1/events/{visit.path('id')}"


async def show(visit: Visit) -> Response:
    api = visit.api
    path = api_path(visit)
    event = await api.get(path)
    why = await api.get(f"{path}/why")
    reasons = [one["reason"] for one in (*why["deliveries"], *why["decisions"])]
    silences = await silences_of(visit, silence_ids([why["summary"], *reasons]), event["pipeline"])
    run = None
    if event["run_id"]:
        named = {"pipeline": event["pipeline"], "run_id": event["run_id"]}
        run = next(iter((await api.get("/v1/runs", **named, limit=1))["items"]), None)
    now = await api.get(f"{path}/preview") if visit.query("again") else None
    head, rest = headline(why["summary"])
    decided = [one for one in why["decisions"] if one["verdict"] != "not_matched"]
    ended = [one for one in why["deliveries"] if one["status"] not in ("pending", "sending", "retrying")]
    mine = await changeable(visit, (one["webhook_id"] for one in ended))
    return await visit.page(
        "pages/event.html",
        event=event,
        why=why,
        head=head,
        rest=rest,
        tone=verdict_tone(why["deliveries"]),
        decided=decided,
        missed=[one for one in why["decisions"] if one["verdict"] == "not_matched"],
        by_rule={one["rule_id"]: told_by(why["deliveries"], one["rule_id"]) for one in why["decisions"]},
        silences=silences,
        run=run,
        now=now,
        links=links_of(event["links"]),
        rule_path=rule_path,
        again=[one["id"] for one in ended if one["webhook_id"] in mine],
    )


def told_by(deliveries: list[dict[str, Any]], rule_id: str) -> list[dict[str, Any]]:
    return [one for one in deliveries if one["rule_id"] == rule_id]


async def silences_of(visit: Visit, ids: list[str], pipeline: str) -> list[dict[str, Any]]:
    """Those that the reasons name, and those that are on for the pipeline now."""
    found: dict[str, dict[str, Any]] = {}
    for id_ in ids:
        try:
            found[id_] = await visit.api.get(f"/v1/silences/{id_}")
        except Refused as refused:
            if refused.status != 404:
                raise
    for one in await open_now(visit, pipeline) if pipeline else ():
        found.setdefault(one["id"], one)
    return await said(visit, list(found.values()))


async def open_silences(visit: Visit, pipeline: str) -> list[dict[str, Any]]:
    return await said(visit, await open_now(visit, pipeline))


async def open_now(visit: Visit, pipeline: str) -> list[dict[str, Any]]:
    return covering((await visit.api.get("/v1/silences", status="open", limit=100))["items"], pipeline)


async def said(visit: Visit, silences: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """With what each holds back, and who made it, in words."""
    people = await called(visit, (one["created_by"] for one in silences))
    return [one | {"said": matchers_said(one["matchers"]), "by": people.get(one["created_by"], "")} for one in silences]


async def send_again(visit: Visit) -> Response:
    """What was held back, failed or was sent already goes out once more."""
    ids = visit.many.get("delivery", [])[:MOST_SENT]
    if not ids:
        raise Invalid("delivery", "nothing", "the ids of deliveries")
    for id_ in ids:
        await visit.api.post(f"/v1/deliveries/{id_}/replay")
    here = f"/events/{part(visit.path('id'))}"
    return visit.see(here, "1 message is sent again." if len(ids) == 1 else f"{len(ids)} messages are sent again.")


PAGES = (
    Page("GET", "/events", show_list),
    Page("GET", "/events/{id:path}", show),
    Page("POST", "/events/test", send_test, "developer"),
    Page("POST", "/events/{id:path}/again", send_again, "developer"),
)
