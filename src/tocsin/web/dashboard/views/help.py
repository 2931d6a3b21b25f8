"""What errors mean: for whoever follows a link from an answer of the API, signed in or not. No page here knows anything
of a tenant, and none needs the store."""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as StarletteRoute

from tocsin.model.errors import NotFound, Refusal
from tocsin.store.database import StoreBroken, StoreUnavailable
from tocsin.web.dashboard.rendering import packed_page, page, render
from tocsin.web.dashboard.visit import Visit
from tocsin.web.help import PATH, follows, groups, pages
from tocsin.web.observed import ROUTE
from tocsin.web.people import People

View = Callable[[People, Request], Awaitable[Response]]


async def show_all(people: People, request: Request) -> Response:
    return await framed(people, request, "errors", {"groups": list(groups().values())})


async def show(people: People, request: Request) -> Response:
    """Raises NotFound."""
    found = pages().get(request.path_params["code"])
    if found is None:
        raise NotFound("There is no such page. /help/errors lists them.")
    group, one = found
    related = [(code, pages()[code][1].title) for code in one.related]
    values = {"group": group, "one": one, "follows": follows(group, one), "related": related}
    return await framed(people, request, "error", values)


async def framed(people: People, request: Request, name: str, values: dict[str, Any]) -> Response:
    """In the dashboard's frame for who is signed in, as long as there is a store to ask."""
    try:
        if (signed := await people.sessions.of(request.headers)) is not None:
            visit = Visit(people, request, signed, {})
            return await visit.page("pages/help.html", body=f"parts/help_{name}.html", **values)
    except (Refusal, StoreUnavailable, StoreBroken):
        pass
    return packed_page(request, render("people/help.html", body=f"parts/help_{name}.html", **values))


def help_routes(people: People) -> list[StarletteRoute]:
    return [
        StarletteRoute(path, answered(people, f"GET {path}", view), methods=["GET"])
        for path, view in ((PATH, show_all), (f"{PATH}/{{code}}", show))
    ]


def answered(people: People, name: str, view: View) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        request.scope[ROUTE] = name
        try:
            return await view(people, request)
        except NotFound as refusal:
            return page("people/problem.html", refusal.status, title=refusal.title, detail=refusal.detail)

    return handle
