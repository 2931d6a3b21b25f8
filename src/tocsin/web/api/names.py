"""What webhooks, rules and people are called, many at once: for lists that show them by id, and for choices."""

from collections.abc import Iterable
from typing import Any, Literal
from urllib.parse import quote, unquote

from msgspec import Struct
from starlette.responses import Response

from tocsin.model.errors import Invalid
from tocsin.store import config, identity, rows
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


class ActorName(Struct, frozen=True):
    """Who is in the audit trail: a member, who may have gone since, or a token. A member may have no name."""

    id: str
    name: str
    kind: Literal["member", "token"]


class ActorNames(Struct, frozen=True):
    """Those that there are."""

    items: tuple[ActorName, ...]


def in_query(ids: Iterable[str]) -> str:
    """Ids as `ids` takes them: what single sign-on calls somebody may have commas in it, which stand as %2C."""
    return ",".join(quote(one, safe="@=:") for one in ids)


def ids_of(call: Call) -> list[str]:
    """Raises Invalid."""
    ids = [unquote(one) for one in call.request.query_params.get("ids", "").split(",") if one]
    if len(ids) > MOST_IDS:
        raise Invalid("ids", f"{len(ids)} ids", f"{MOST_IDS} at the most, with commas between them")
    return ids


def chosen(call: Call) -> dict[str, Any]:
    """Which are asked for: by their ids, or by a part of their names. Raises Invalid."""
    filters: dict[str, Any] = {name: text.lower() for name, text in filters_of(call, ("q",)).items()}
    return filters | ({"ids": ids} if (ids := ids_of(call)) else {})


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


async def actors(call: Call) -> Response:
    ids = ids_of(call)
    if not ids:
        raise Invalid("ids", "nothing", f"1 to {MOST_IDS} ids, with commas between them")
    found = await identity.actor_names(call.app.db, call.tenant_id, ids)
    return reply(ActorNames(tuple(ActorName(*row) for row in found)))


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
    Route(
        method="GET",
        path="/v1/audit/actors",
        handler=actors,
        summary="What those are called who are in the audit trail",
        role="admin",
        answer=ActorNames,
        query={"ids": f"Members and tokens, with commas between them, %2C for one in an id: {MOST_IDS} at the most"},
    ),
)
