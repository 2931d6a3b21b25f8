"""What webhooks and rules are called, many at once: for lists that show them by id, and for choices."""

from typing import Any

from msgspec import Struct
from starlette.responses import Response

from tocsin.model.errors import Invalid
from tocsin.store import config, rows
from tocsin.web.ownership import seen_by
from tocsin.web.routes import Call, Param, Route, cursor_of, filters_of, number_of, page, reply, whole

MOST = 1000
MOST_IDS = 200


class WebhookName(Struct, frozen=True):
    """A webhook without what it takes to send there."""

    id: str
    name: str
    provider_type: str
    is_active: bool
    user_id: str
    created_by: str


class RuleName(Struct, frozen=True):
    """A rule without what it asks for."""

    id: str
    name: str
    is_active: bool
    webhook_endpoint_ids: tuple[str, ...]


def chosen(call: Call) -> dict[str, Any]:
    """Which are asked for: by their ids, or by a part of their names. Raises Invalid."""
    filters: dict[str, Any] = filters_of(call, ("ids", "q"))
    if "ids" in filters:
        ids = filters["ids"].split(",")
        if len(ids) > MOST_IDS:
            raise Invalid("ids", f"{len(ids)} ids", f"{MOST_IDS} at the most, with commas between them")
        filters["ids"] = ids
    if "q" in filters:
        filters["q"] = filters["q"].lower()
    return filters


async def webhooks(call: Call) -> Response:
    limit = number_of(call, "limit", MOST)
    filters = chosen(call) | seen_by(call.by)
    found = await config.endpoint_names(call.app.db, call.tenant_id, cursor_of(call, ""), limit + 1, filters)
    named = [WebhookName(id_, name, kind, bool(is_active), *whose) for id_, name, kind, is_active, *whose in found]
    return reply(page(named, limit, lambda one: str(one.id)))


async def rules(call: Call) -> Response:
    limit = number_of(call, "limit", MOST)
    found = await config.rule_names(call.app.db, call.tenant_id, cursor_of(call, ""), limit + 1, chosen(call))
    named = [RuleName(id_, name, bool(is_active), rows.strings(ids)) for id_, name, is_active, ids in found]
    return reply(page(named, limit, lambda one: str(one.id)))


QUERY: dict[str, str | Param] = {
    "ids": f"Only these ids, with commas between them: {MOST_IDS} at the most. Those that do not exist are left out",
    "q": "Only those whose name contains this, in small or capital letters",
    "limit": whole("How many at the most", MOST, MOST),
    "cursor": "`next` of the page before",
}

ROUTES = (
    Route(
        method="GET",
        path="/v1/webhooks/names",
        handler=webhooks,
        summary="What endpoints are called",
        role="viewer",
        answer=WebhookName,
        query=QUERY,
    ),
    Route(
        method="GET",
        path="/v1/alert-rules/names",
        handler=rules,
        summary="What rules are called",
        role="viewer",
        answer=RuleName,
        query=QUERY,
    ),
)
