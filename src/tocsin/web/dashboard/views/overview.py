"""The first page: whether anything needs a human."""

from starlette.responses import Response

from tocsin.web.dashboard.visit import Page, Visit


async def show(visit: Visit) -> Response:
    return await visit.page("pages/overview.html")


PAGES = (Page("GET", "/", show),)
