"""All pages."""

from starlette.routing import Route as StarletteRoute

from tocsin.web.dashboard.message_preview import FRAMES
from tocsin.web.dashboard.views import (
    audit,
    dead_letters,
    deliveries,
    endpoint_metrics,
    endpoint_new,
    endpoint_page,
    endpoints,
    events,
    flows,
    notifications,
    operating,
    overview,
    pipelines,
    rules,
    runs,
    search,
    settings,
    silences,
    sources,
    team,
)
from tocsin.web.dashboard.visit import Page, served
from tocsin.web.people import People

PAGES: tuple[Page, ...] = (
    *overview.PAGES,
    *events.PAGES,
    *deliveries.PAGES,
    *runs.PAGES,
    *pipelines.PAGES,
    *dead_letters.PAGES,
    *endpoints.PAGES,
    *endpoint_new.PAGES,
    *endpoint_page.PAGES,
    *endpoint_metrics.PAGES,
    *rules.PAGES,
    *silences.PAGES,
    *sources.PAGES,
    *flows.PAGES,
    *notifications.PAGES,
    *audit.PAGES,
    *team.PAGES,
    *settings.PAGES,
    *operating.PAGES,
    *search.PAGES,
)


def dashboard_routes(people: People) -> list[StarletteRoute]:
    """Paths without parameters first: `/rules/new` is no rule's."""
    in_order = sorted((*PAGES, *FRAMES, *runs.FILES), key=lambda one: (one.path.count("{"), -one.path.count("/")))
    return [StarletteRoute(one.path, served(people, one), methods=[one.method]) for one in in_order]
