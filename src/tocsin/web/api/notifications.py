"""Notifications of a platform's users: everybody's preferences, what was tried, a test. One's own preferences are in
preferences.py."""

import re
from typing import Annotated, Literal

from msgspec import Meta, Struct
from starlette.responses import Response

from tocsin.model.preference import CATEGORIES, PROVIDER_OF, SLACK
from tocsin.rules.preferring import Place, Reader, channel_key, endpoints_at, not_set_up, place_of
from tocsin.store import preferences as store
from tocsin.web.api.preferences import SwitchesOut, own, switches
from tocsin.web.api.webhooks import send_test
from tocsin.web.routes import (
    PAGE,
    UP_TO_100,
    Call,
    Param,
    Route,
    as_cursor,
    filters_of,
    name_cursor,
    number_of,
    page,
    page_limit,
    reply,
    rfc3339,
)
from tocsin.web.switches import tuning_of

CODE = re.compile(r"([a-z]+(?:_[a-z]+)+)(?:: |\Z)")
MOST_COUNTED = 100_000
PAGE_ITEMS = 20
SLACKS = ("slack", "slack_bot", "slack_workflow")
LIFECYCLE = "experiment_lifecycle"


class LogItem(Struct, frozen=True):
    """A message to one place. `status` is success or failed; one that is tried again has failed so far."""

    id: str
    event_type: str
    channel: str
    status: str
    error: str | None
    created_at: str | None


class LogPage(Struct, frozen=True):
    """`total` counts to 100,000."""

    items: tuple[LogItem, ...]
    total: int
    page: int
    limit: int


class TestIn(Struct, frozen=True, forbid_unknown_fields=True):
    channel: Literal["slack", "email"]


class TestOut(Struct, frozen=True):
    success: bool
    message: str


async def everybody(call: Call) -> Response:
    limit = page_limit(call)
    found = await store.list_(call.app.db, call.tenant_id, name_cursor(call), limit + 1)
    items = [switches(user_id, wants) for user_id, wants in found]
    return reply(page(items, limit, lambda one: as_cursor(one.user_id)))


def pattern_of(event_type: str) -> str:
    """For LIKE: `safety_rollback` is safety.rollback and safety-rollback, too; the lifecycle is all that experiments
    say of themselves."""
    if event_type == LIFECYCLE:
        return "experiment_%"
    escaped = event_type.lower().replace("!", "!!").replace("%", "!%")
    return escaped.replace(".", "_").replace("-", "_")


def code_of(said: str) -> str:
    """A provider's code alone, where it is one that programs look for (`channel_not_found`, `unauthorized`); else what
    was said. The words are in GET /v1/deliveries."""
    if said.startswith("HTTP 401"):
        return "unauthorized"
    code = CODE.match(said)
    return code[1] if code else said


async def delivery_log(call: Call) -> Response:
    filters = filters_of(call, ("event_type", "status"))
    limit = number_of(call, "limit", PAGE_ITEMS)
    number = number_of(call, "page", 1)
    told: store.Told = "tried"
    if status := filters.get("status"):
        told = "success" if status == "success" else "failed"
    found, total = await store.delivery_log(
        call.app.db,
        call.tenant_id,
        told=told,
        event_type=pattern_of(filters.get("event_type", "")),
        limit=limit,
        offset=min((number - 1) * limit, MOST_COUNTED),
        most=MOST_COUNTED,
    )
    items = tuple(
        LogItem(
            id=id_,
            event_type=event_type,
            channel=SLACK if kind in SLACKS else kind,
            status="success" if status_ == "delivered" else "failed",
            error=None if status_ == "delivered" else code_of(error or reason),
            created_at=rfc3339(created_ms // 1000 * 1000, "seconds"),
        )
        for id_, event_type, kind, status_, error, reason, created_ms in found
    )
    return reply(LogPage(items, total, number, limit))


async def test(call: Call) -> Response:
    """Really sends, to where the caller would be told; says what came of it."""
    channel = (await call.body(TestIn)).channel
    app = call.app
    reader = Reader(call.by.who, await own(call))
    default = app.settings.slack_channel
    place = place_of(reader, channel, default)
    if why := await unreachable(call, place):
        return reply(TestOut(False, f"Test notification was not sent: {why}"))
    endpoint_id, _ = endpoints_at(await store.endpoints(app.db, call.tenant_id), default)[place]
    name = shown_channel(reader.wants.slack_channel or default) if channel == SLACK else place[1]
    async with app.db.transaction() as tx:
        await call.audit(tx, "notification.test", "webhook", endpoint_id)
    delivery = await send_test(call, endpoint_id, name)
    if delivery["status"] == "delivered":
        return reply(TestOut(True, f"Test notification sent to {name}"))
    waits = delivery["status"] in ("pending", "sending")
    said = "it still waits" if waits else delivery["error_message"] or delivery["reason"]
    return reply(TestOut(False, f"Test notification to {name} was not sent: {said}"))


async def unreachable(call: Call, place: Place) -> str:
    off = (await tuning_of(call))[PROVIDER_OF[place[0]]].off
    if off or (why := not_set_up(place, call.app.operator)):
        return off or why
    return "" if place[1] else f"no email address is known of {call.by.who}: set email_address in the preferences"


def shown_channel(name: str) -> str:
    """`#alerts` for a name, `C0123` for an id."""
    return name if name[:1] in "CGD" and name.isupper() else f"#{channel_key(name)}"


ROUTES = (
    Route(
        method="GET",
        path="/api/v1/notifications/admin/preferences",
        handler=everybody,
        summary="Everybody's preferences, by user",
        role="admin",
        answer=SwitchesOut,
        query=PAGE,
    ),
    Route(
        method="GET",
        path="/api/v1/notifications/delivery-log",
        handler=delivery_log,
        summary="What was tried, newest first",
        role="admin",
        answer=LogPage,
        query={
            "page": Param("From 1", Annotated[int, Meta(ge=1, le=MOST_COUNTED)], "a whole number from 1", True),
            "limit": Param("1 to 100; 20 where it is not given", Annotated[int, Meta(ge=1, le=100)], UP_TO_100, True),
            "event_type": f"Such as {', '.join(CATEGORIES)}",
            "status": Param("How it went", Literal["success", "failed"]),
        },
    ),
    Route(
        method="POST",
        path="/api/v1/notifications/test",
        handler=test,
        action="notification.test",
        summary="Send a test message to yourself, and say what came of it",
        role="developer",
        body=TestIn,
        answer=TestOut,
    ),
)
