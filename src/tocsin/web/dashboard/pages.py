"""All pages."""

from starlette.routing import Route as StarletteRoute

from tocsin.web.dashboard.views import deliveries, overview
from tocsin.web.dashboard.visit import Page, served
from tocsin.web.people import People

PAGES: tuple[Page, ...] = (
    *overview.PAGES,
    *deliveries.PAGES,
)


def dashboard_routes(people: People) -> list[StarletteRoute]:
    """Paths without parameters first: `/rules/new` is no rule's."""
    in_order = sorted(PAGES, key=lambda one: (one.path.count("{"), -one.path.count("/")))
    return [StarletteRoute(one.path, served(people, one), methods=[one.method]) for one in in_order]
