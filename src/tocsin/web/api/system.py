"""Health, readiness, metrics and the OpenAPI document."""

from typing import Any

from msgspec import Struct
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from tocsin import __version__
from tocsin.store.database import StoreUnavailable
from tocsin.web import metrics
from tocsin.web.routes import Call, Route, reply


class Health(Struct, frozen=True):
    status: str
    version: str


class Ready(Struct, frozen=True, omit_defaults=True):
    """`status` is ok, stopping or unavailable. `durability`: full, or reduced durability, and `warnings` say why."""

    status: str
    durability: str = ""
    warnings: tuple[str, ...] | None = None
    reason: str = ""


async def health(call: Call) -> Response:
    """The process is up and its loop turns."""
    return reply(Health("ok", __version__))


async def ready(call: Call) -> Response:
    """Whether work can be done: the store answers. Says where it is weaker than promised."""
    app = call.app
    try:
        weaknesses = await app.db.weaknesses()
        await app.db.read("soonest_due")
    except StoreUnavailable:
        return reply(Ready("unavailable", reason="the store does not answer"), 503)
    if app.deliver.stopping:
        return reply(Ready("stopping"), 503)
    if app.intake.is_failing():
        return reply(Ready("unavailable", reason="the store does not take events"), 503)
    durability = "reduced durability" if weaknesses else "full"
    away = tuple(f"the event bus {bus.name} is not read: {bus.away}" for bus in app.buses if bus.away)
    return reply(Ready("ok", durability, weaknesses + away))


async def prometheus(call: Call) -> Response:
    return Response(await metrics.text(call.app), media_type=CONTENT_TYPE_LATEST)


async def openapi(call: Call) -> Response:
    return Response(call.request.app.state.document(), media_type="application/json")


ROUTES = (
    Route(method="GET", path="/healthz", handler=health, summary="The process is up", role="", answer=Health),
    Route(
        method="GET",
        path="/readyz",
        handler=ready,
        summary="The store answers, and how durable it is",
        role="",
        answer=Ready,
        also=(503,),
    ),
    Route(method="GET", path="/metrics", handler=prometheus, summary="Prometheus metrics", role="", media="text/plain"),
    Route(method="GET", path="/openapi.json", handler=openapi, summary="This document", role="", answer=dict[str, Any]),
)
