"""Rules before they are trusted: against the last events, as production would have decided. Nothing is stored."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace
from starlette.responses import Response

from tocsin.model.errors import Invalid
from tocsin.model.event import Event
from tocsin.model.rule import Rule
from tocsin.rules.explain import misfit_of
from tocsin.rules.index import CompiledRule, RuleIndex, compile_rule
from tocsin.rules.own import owner_of
from tocsin.rules.simulate import Setup, Simulation, Step
from tocsin.sources.native import NativeEvent, decode_native
from tocsin.stages.intake import as_event
from tocsin.stages.intake.config import TenantConfig, compiled
from tocsin.store import intake as store
from tocsin.store import log
from tocsin.store import why as store_why
from tocsin.web.api.alert_rules import ID, RuleIn, RulePatch, changes, checked, find, new_rule, noise_of
from tocsin.web.ownership import NOT_YOURS, hidden_endpoints
from tocsin.web.routes import LAST, Call, Route, decode, json_body, reply, rfc3339

UNSAVED = "preview"
EVENTS_OF_RUN = 1000
EARLIER_MS = 24 * 3600 * 1000
"""So far back the runs of the last events are looked at, so that they are as they were."""
AT_A_TIME = 10
"""Events that are decided before others may use the processor."""

Last = Annotated[int, Meta(ge=1, le=500)]


class RulePreviewIn(RuleIn, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An unsaved rule, asked about the last events."""

    last: Last = 50


class RulePreviewPatch(RulePatch, frozen=True, forbid_unknown_fields=True):
    """Changes to a saved rule, which are not saved; none asks about the rule as it is, switched on."""

    last: Last = 50


class PreviewItem(Struct, frozen=True):
    """One event, newest first. `notifies`: the webhooks that would be told by this rule in a message of their own;
    `before`: those that the saved version tells. `reason`: why it does not match, or why nobody would be told.
    `by_clock`: nobody sent it, a run took too long or a start was missed."""

    event_id: str
    event_type: str
    pipeline: str
    time: str | None
    matched: bool
    notifies: tuple[str, ...]
    before: tuple[str, ...]
    reason: str
    by_clock: bool


class Preview(Struct, frozen=True):
    """`notifications` and `before` count the messages to the rule's webhooks, whichever rule leads there: with this
    version, and with the saved one (or without the rule)."""

    events: int
    matched: int
    suppressed: int
    notifications: int
    before: int
    change: str
    items: tuple[PreviewItem, ...]


class Tested(Struct, frozen=True):
    matched: bool
    reason: str
    kind: str


async def preview(call: Call) -> Response:
    """An unsaved rule."""
    given = await call.body(RulePreviewIn)
    rule = new_rule(call, given, UNSAVED)
    await checked(call, rule)
    return reply(await previewed(call, None, rule, given.last))


async def preview_saved(call: Call) -> Response:
    """A saved rule, and what changes to it would change."""
    body = await json_body(call.request, call.most_bytes)
    given = decode(body or b"{}", RulePreviewPatch)
    saved = await find(call)
    rule = replace(saved, noise=noise_of(given, saved.noise), **changes(given))
    await checked(call, rule, known=saved.endpoint_ids)
    if rule == saved:
        rule = replace(saved, is_active=True)
    return reply(await previewed(call, saved, rule, given.last))


async def previewed(call: Call, saved: Rule | None, rule: Rule, last: int) -> Preview:
    config = await config_of(call)
    events = await last_events(call, last)
    now_ms = call.app.clock_ms()
    old = Simulation(setup_of(call, with_rule(config, saved, rule.id)), events.since_ms)
    before = await steps_of(events, old, now_ms)
    simulation = Simulation(setup_of(call, with_rule(config, rule, rule.id)), events.since_ms)
    after = await steps_of(events, simulation, now_ms)
    mine = {*rule.endpoint_ids, *(saved.endpoint_ids if saved else ())}
    hidden = await hidden_endpoints(call)
    told_before = {step.event.id: told(step, rule.id, hidden) for step in before}
    compiled_rule = compile_rule(rule)
    items = [item_of(compiled_rule, simulation, told_before.get(step.event.id, ()), step, hidden) for step in after]
    items = [item for item in items if item.matched or not item.by_clock]
    counts = messages(before, mine), messages(after, mine)
    return Preview(
        events=len(events.events),
        matched=sum(item.matched for item in items),
        suppressed=sum(item.matched and not item.notifies for item in items),
        notifications=counts[1],
        before=counts[0],
        change=changed(len(events.events), *counts),
        items=tuple(reversed(items)),
    )


def item_of(
    compiled_rule: CompiledRule, simulation: Simulation, before: tuple[str, ...], step: Step, hidden: frozenset[str]
) -> PreviewItem:
    rule, event = compiled_rule.rule, step.event
    decision = next((decision for decision in step.plan.decisions if decision.rule_id == rule.id), None)
    matched = decision is not None and decision.verdict != "not_matched"
    notifies = told(step, rule.id, hidden)
    if decision is None:
        reason = misfit_of(compiled_rule, event).reason
    elif matched and not notifies:
        mine = [send for send in step.plan.sends if send.rule.id == rule.id]
        reason = simulation.reason(mine[0]) if mine else decision.reason
    else:
        reason = decision.reason
    return PreviewItem(
        event_id=event.id,
        event_type=event.type,
        pipeline=event.pipeline,
        time=rfc3339(event.time_ms),
        matched=matched,
        notifies=notifies,
        before=before,
        reason=reason,
        by_clock=step.by_clock,
    )


def told(step: Step, rule_id: str, hidden: frozenset[str]) -> tuple[str, ...]:
    """The names of the endpoints that this rule would tell; those of others are not named."""
    channels = [send.channel for send in step.notifications() if send.rule.id == rule_id]
    return tuple(NOT_YOURS if channel.endpoint_id in hidden else channel.name for channel in channels)


def messages(steps: Iterable[Step], endpoint_ids: set[str]) -> int:
    return sum(send.channel.endpoint_id in endpoint_ids for step in steps for send in step.notifications())


def changed(events: int, before: int, after: int) -> str:
    """`last 50 events: 31 → 9 notifications`."""
    return f"last {events} events: {before} → {after} notifications"


# What is run, and over what.


class LastEvents(Struct, frozen=True):
    """Oldest first. `earlier`: what came before them in their runs."""

    earlier: Sequence[Event]
    events: Sequence[Event]

    @property
    def since_ms(self) -> int:
        return self.events[0].received_ms if self.events else 0


async def last_events(call: Call, last: int) -> LastEvents:
    db = call.app.db
    events = await log.list_events(db, call.tenant_id, before=LAST, limit=last, filters={})
    if not events:
        return LastEvents((), ())
    earlier = await store_why.earlier_events(db, call.tenant_id, events[-1].uid, EARLIER_MS)
    return LastEvents(earlier, events[::-1])


async def steps_of(events: LastEvents, simulation: Simulation, now_ms: int) -> list[Step]:
    """The production planning, over these events. What the clock found then, it finds again by itself."""
    for event in events.earlier:
        simulation.learn(event)
    steps = []
    for number, event in enumerate(events.events):
        steps += simulation.wait(event.received_ms)
        if not owner_of(event):
            steps.append(simulation.take(event, event.received_ms))
        if number % AT_A_TIME == 0:
            await asyncio.sleep(0)
    return steps + simulation.wait(now_ms)


async def config_of(call: Call) -> store.Config:
    """What counts at present."""
    return await store.config(call.app.db, call.tenant_id)


def with_rule(config: store.Config, rule: Rule | None, rule_id: str) -> store.Config:
    """With this rule in the place of the saved one; a new one comes last. None, and one that is off, is none."""
    active = [] if rule is None or not rule.is_active else [rule]
    rules = list(config.rules)
    place = next((place for place, known in enumerate(rules) if known.id == rule_id), None)
    if place is None:
        rules += active
    else:
        rules[place : place + 1] = active
    return replace(config, rules=sorted(rules, key=lambda one: (one.id == UNSAVED, one.id)))


def setup_of(call: Call, config: store.Config) -> Setup:
    app = call.app
    setup = compiled(
        0,
        call.tenant_id,
        config,
        app.tuning,
        operator=app.operator,
        flood=app.intake.flood,
        rollouts=app.settings.rollouts,
    )
    return as_setup(call.tenant_id, setup)


def as_setup(tenant_id: str, config: TenantConfig) -> Setup:
    return Setup(tenant_id, config.index, config.channels, config.silences, config.watches)


async def test(call: Call) -> Response:
    """Whether a saved rule would match an event that is given here; nothing is stored or sent."""
    app = call.app
    rule = replace(await find(call), is_active=True)
    drafts = decode_native(await json_body(call.request, call.most_bytes))
    if len(drafts) != 1:
        raise Invalid("events", f"{len(drafts)} events", "one event")
    event = as_event(drafts[0], "evt_test", call.tenant_id, app.clock_ms())
    config = replace(await config_of(call), rules=[rule])
    simulation = Simulation(replace(setup_of(call, config), index=RuleIndex([rule])), event.received_ms)
    if event.run_id:
        filters = {"pipeline": event.pipeline, "run_id": event.run_id}
        known = await log.list_events(app.db, call.tenant_id, before=LAST, limit=EVENTS_OF_RUN, filters=filters)
        for earlier in reversed(known):
            simulation.learn(earlier)
    for decision in simulation.take(event, event.received_ms).plan.decisions:
        return reply(Tested(decision.verdict != "not_matched", decision.reason, event.kind))
    return reply(Tested(False, misfit_of(compile_rule(rule), event).reason, event.kind))


ROUTES = (
    Route(
        method="POST",
        path="/v1/alert-rules/preview",
        handler=preview,
        summary="What an unsaved rule would have made of the last events",
        role="developer",
        scope="read",
        body=RulePreviewIn,
        answer=Preview,
    ),
    Route(
        method="POST",
        path=f"{ID}/preview",
        handler=preview_saved,
        summary="What a rule makes of the last events, and what changes to it would change",
        role="viewer",
        scope="read",
        body=RulePreviewPatch,
        body_optional=True,
        answer=Preview,
    ),
    Route(
        method="POST",
        path=f"{ID}/test",
        handler=test,
        summary="Whether it matches an event given here",
        role="viewer",
        scope="read",
        body=NativeEvent,
        answer=Tested,
    ),
)
