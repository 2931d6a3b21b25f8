"""`GET /v1/stream`: events, runs and deliveries as server-sent events."""

from typing import Any

from starlette.responses import Response

from tocsin.model.errors import Invalid
from tocsin.model.run import Run
from tocsin.rules.pattern import check_pattern
from tocsin.web.api import deliveries, events, runs
from tocsin.web.auth import Principal
from tocsin.web.routes import Call, Route, filters_of
from tocsin.web.stream import EventStream, Shape

NAMES = ("event", "run", "delivery")


def shown_run(run: Run) -> runs.RunOut:
    return runs.RunOut(**runs.fields(run))


def shown_delivery(found: dict[str, Any]) -> deliveries.DeliveryOut:
    return deliveries.DeliveryOut(**deliveries.fields(found))


SHAPE = Shape(events.shown, shown_run, shown_delivery, deliveries.wordless)


async def stream(call: Call) -> Response:
    """Each message is an `event` (its data as in GET /v1/events/{id}), a `run` or a `delivery` (as their lists have
    them, each time they change). `reset` says that some are missing: load anew what you show. `end` says why the stream
    ends. Comments come every 15 s. Come back with Last-Event-ID to get what you missed; a message may come twice."""
    given = filters_of(call, ("types", "pipeline"))
    names = frozenset(given["types"].split(",")) if "types" in given else frozenset(NAMES)
    if not names <= set(NAMES):
        raise Invalid("types", repr(given["types"][:60]), f"some of {', '.join(NAMES)}, with commas")
    pipeline = given.get("pipeline", "")
    if pipeline:
        check_pattern("pipeline", pipeline)
    since = call.request.headers.get("last-event-id", "")
    if since and not (since.isascii() and since.isdigit() and len(since) <= 15):
        raise Invalid("Last-Event-ID", repr(since[:40]), "the id of a message of this stream")
    if call.request.method == "HEAD":
        return Response(media_type="text/event-stream")
    state = call.request.app.state
    feed, reader = state.hub.open(call.by, names, pipeline, resuming=bool(since))

    async def allowed() -> Principal:
        by: Principal = await state.authenticate(call.request)
        by.require("viewer", "read")
        return by

    found: Any = EventStream(state.hub, feed, reader, int(since) if since else None, allowed)
    return found  # type: ignore[no-any-return]


ROUTES = (
    Route(
        method="GET",
        path="/v1/stream",
        handler=stream,
        name="stream",
        summary="What happens, while it happens, as server-sent events",
        role="viewer",
        query={
            "types": "Some of `event`, `run` and `delivery`, with commas; all where it is not given",
            "pipeline": "Only of pipelines that this pattern fits",
        },
        headers={"Last-Event-ID": "Where you were: what came since is told first"},
        media="text/event-stream",
    ),
)
