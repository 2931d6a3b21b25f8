"""An event that is there, and what the rules of now would make of it. Nothing is stored or sent."""

from msgspec import Struct
from starlette.responses import Response

from tocsin.model.errors import NotFound
from tocsin.rules.explain import Considered, names
from tocsin.rules.simulate import Simulation
from tocsin.store import log
from tocsin.web.api.rule_preview import EVENTS_OF_RUN, config_of, setup_of
from tocsin.web.ownership import NOT_YOURS, hidden_endpoints, is_hidden_rule
from tocsin.web.routes import Call, Route, reply


class EventPreview(Struct, frozen=True):
    """`summary` is one sentence. `notifies`: the names of the webhooks that would be told; `decisions` are of the rules
    that would be asked. Silences count as they are now."""

    event_id: str
    summary: str
    notifies: tuple[str, ...]
    decisions: tuple[Considered, ...]


async def preview(call: Call) -> Response:
    app, tenant_id = call.app, call.tenant_id
    found = await log.find_event(app.db, tenant_id, call.path("id"), None)
    if found is None:
        raise NotFound("No such event.")
    event = found[0]
    hidden = await hidden_endpoints(call)
    now_ms = app.clock_ms()
    simulation = Simulation(setup_of(call, await config_of(call)), now_ms)
    if event.run_id:
        filters = {"pipeline": event.pipeline, "run_id": event.run_id}
        known = await log.list_events(app.db, tenant_id, before=event.uid, limit=EVENTS_OF_RUN, filters=filters)
        for earlier in reversed(known):
            simulation.learn(earlier)
    step = simulation.take(event, now_ms)
    told = [send.channel for send in step.notifications()]
    notifies = tuple(NOT_YOURS if one.endpoint_id in hidden else one.name for one in told)
    held = [send.suppressed for send in step.plan.sends if send.suppressed and send.channel.endpoint_id not in hidden]
    decisions = tuple(
        Considered(one.rule_id, one.rule, one.verdict, one.reason, one.endpoints)
        for one in step.plan.decisions
        if not is_hidden_rule(call, one.rule_id, hidden)
    )
    if notifies:
        said = f"With the rules of now {names(notifies)} would be told."
    elif held:
        said = f"With the rules of now nobody would be told: {held[0]}."
    else:
        said = "With the rules of now nobody would be told: no rule asks for this event."
    return reply(EventPreview(event.id, said, notifies, decisions))


ROUTES = (
    Route(
        method="GET",
        path="/v1/events/{id}/preview",
        handler=preview,
        summary="What the rules of now would make of an event that is there",
        role="viewer",
        answer=EventPreview,
    ),
)
