"""Search: what is called so is where it leads; else what has it in its name; else what came in last."""

from typing import Any

from starlette.responses import Response

from tocsin.web.dashboard.api import Refused
from tocsin.web.dashboard.visit import Page, Visit
from tocsin.web.dashboard.wording import part

PLACES = {
    "event": "/events",
    "run": "/runs",
    "delivery": "/deliveries",
    "webhook": "/endpoints",
    "rule": "/rules",
    "silence": "/silences",
    "pipeline": "/pipelines",
}


def place(hit: dict[str, Any]) -> str:
    """Where it is."""
    return f"{PLACES[hit['kind']]}/{part(hit['id'])}"


async def show(visit: Visit) -> Response:
    text = visit.query("q").strip()
    found: dict[str, Any] = {"hits": [], "last_event": None}
    problem = ""
    if text:
        try:
            found = await visit.api.get("/v1/search", q=text)
        except Refused as refused:
            if refused.field != "q":
                raise
            problem = f"Expected {refused.expected}, found {refused.found}."
        else:
            if found["exact"]:
                return visit.see(place(found["exact"]))
    return await visit.page("pages/search.html", text=text, found=found, place=place, problem=problem)


PAGES = (Page("GET", "/search", show),)
