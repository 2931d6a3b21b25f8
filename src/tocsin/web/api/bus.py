"""Messages of an event bus that were no events: `/v1/bus/refused`."""

from typing import Any

from msgspec import Struct
from starlette.responses import Response

from tocsin.store import bus
from tocsin.web.routes import LAST, PAGE, Call, Route, cursor_of, page, page_limit, reply, rfc3339


class RefusedOut(Struct, frozen=True):
    """A message that was set aside: where it was, what is wrong with it, and its first 4096 bytes of `size` as text."""

    id: str
    bus: str
    position: str
    reason: str
    body: str
    size: int
    refused_at: str | None


def shown(found: dict[str, Any]) -> RefusedOut:
    return RefusedOut(
        id=found["id"],
        bus=found["bus"],
        position=found["position"],
        reason=found["reason"],
        body=bytes(found["body"]).decode("utf-8", "replace"),
        size=found["size"],
        refused_at=rfc3339(found["refused_ms"]),
    )


async def list_refused(call: Call) -> Response:
    limit = page_limit(call)
    found = await bus.list_refused(call.app.db, call.tenant_id, before=cursor_of(call, LAST), limit=limit + 1)
    return reply(page([shown(one) for one in found], limit, lambda one: str(one.id)))


ROUTES = (
    Route(
        method="GET",
        path="/v1/bus/refused",
        handler=list_refused,
        summary="Messages of the event bus that were no events, newest first",
        role="developer",
        answer=RefusedOut,
        query=PAGE,
    ),
)
