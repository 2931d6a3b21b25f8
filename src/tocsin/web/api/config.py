"""Configuration as a whole: what there is, what would change, and what that would change for the last events.

Written for `tocsin config`; the objects themselves are made and changed at their own routes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace
from starlette.responses import Response

from tocsin.flows import sending as flows
from tocsin.model.endpoint import Options
from tocsin.model.errors import Invalid
from tocsin.model.rule import Rule
from tocsin.rules.simulate import Simulation, Step
from tocsin.store import config, preferences, silences
from tocsin.store import intake as store
from tocsin.store.database import Row
from tocsin.web.api import alert_rules, pipelines, webhooks
from tocsin.web.api import preferences as preferences_api
from tocsin.web.api import silences as silences_api
from tocsin.web.api.alert_rules import RuleIn, RuleOut, checked_rule, new_rule
from tocsin.web.api.pipelines import Notification, NotificationOut
from tocsin.web.api.preferences import PreferencesIn, PreferencesOut
from tocsin.web.api.rule_preview import Last, changed, config_of, last_events, setup_of, steps_of
from tocsin.web.api.silences import SilenceOut
from tocsin.web.api.webhooks import Webhook, WebhookIn
from tocsin.web.ownership import MADE_FOR, hidden_endpoints, own, seen_by
from tocsin.web.routes import LAST, Call, Route, no_nul, reply, rfc3339
from tocsin.web.switches import switched_off

MOST = 100_000
NEW = "new:"
"""An id that begins with this names an endpoint that is not there yet."""

MOST_GIVEN = 10_000
NOBODYS = ("environment", flows.MADE_BY)
"""Who makes endpoints that are in nobody's file."""


class ConfigOut(Struct, frozen=True):
    """What people set up, not what follows from the environment, from preferences or from flows. `preferences` is null
    unless an admin asks. `at`: the server's time."""

    at: str | None
    endpoints: tuple[Webhook, ...]
    rules: tuple[RuleOut, ...]
    silences: tuple[SilenceOut, ...]
    pipelines: dict[str, tuple[NotificationOut, ...]]
    preferences: dict[str, PreferencesOut] | None


class EndpointGiven(WebhookIn, frozen=True, forbid_unknown_fields=True):
    """An endpoint as it should be; `id` "" is a new one. An address, a signing secret, headers that are null are left
    alone, and so is a secret setting that is given as it is shown."""

    id: str = ""
    webhook_url: str | None = None  # type: ignore[assignment]
    headers: webhooks.Headers | None = None  # type: ignore[assignment]


class CompareIn(Struct, frozen=True, forbid_unknown_fields=True):
    endpoints: Annotated[tuple[EndpointGiven, ...], Meta(max_length=MOST_GIVEN)]


class Compared(Struct, frozen=True):
    """`changed`: the fields that are not so at present, secret ones among them; () where nothing has to be done."""

    id: str
    name: str
    changed: tuple[str, ...]


class ComparedOut(Struct, frozen=True):
    items: tuple[Compared, ...]


class RuleGiven(RuleIn, frozen=True, forbid_unknown_fields=True):
    """A rule as it should be; `id` "" is a new one. Endpoints that are not there yet are `new:` and their name."""

    id: str = ""


class PipelineGiven(Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    notifications: tuple[Notification, ...]


class PlanIn(Struct, frozen=True, forbid_unknown_fields=True):
    """What would change: endpoints and rules that are made or changed, pipelines, and the ids of what would go."""

    endpoints: Annotated[tuple[EndpointGiven, ...], Meta(max_length=MOST_GIVEN)] = ()
    rules: Annotated[tuple[RuleGiven, ...], Meta(max_length=MOST_GIVEN)] = ()
    pipelines: Annotated[tuple[PipelineGiven, ...], Meta(max_length=MOST_GIVEN)] = ()
    deleted: Annotated[tuple[str, ...], Meta(max_length=MOST_GIVEN)] = ()
    last: Last = 50


class RuleChange(Struct, frozen=True):
    """The messages that one rule leads to, before and after. `rule_id` is "" for a new one."""

    rule: str
    rule_id: str
    before: int
    after: int


class PlanOut(Struct, frozen=True):
    """All messages that the last events lead to, before and after; and those of each rule that changes. `switched_off`:
    what is off in this tenant, the alert engine or kinds of endpoints, and why; the counts do without the engine's."""

    events: int
    before: int
    after: int
    change: str
    rules: tuple[RuleChange, ...]
    switched_off: dict[str, str]


# What there is.


async def get(call: Call) -> Response:
    app, tenant_id = call.app, call.tenant_id
    now_ms = app.clock_ms()
    endpoints = await config.list_endpoints(app.db, tenant_id, after="", limit=MOST, filters=seen_by(call.by))
    rules = await config.list_rules(app.db, tenant_id, after="", limit=MOST)
    kept = await silences.list_(app.db, tenant_id, before=LAST, limit=MOST, filters={"open": now_ms})
    hidden = await hidden_endpoints(call)
    by_pipeline: dict[str, tuple[NotificationOut, ...]] = {}
    for rule in rules:
        if (name := pipeline_of(rule)) and not hidden.intersection(rule.endpoint_ids):
            by_pipeline[name] = (*by_pipeline.get(name, ()), pipelines.shown(rule))
    return reply(
        ConfigOut(
            at=rfc3339(now_ms),
            endpoints=tuple(webhooks.seen(call.by, one) for one in endpoints if one.created_by not in NOBODYS),
            rules=tuple(alert_rules.shown(rule) for rule in rules if not pipeline_of(rule)),
            silences=tuple(silences_api.shown(one, now_ms) for one in reversed(kept)),
            pipelines=dict(sorted(by_pipeline.items())),
            preferences=await everybodys(call) if call.by.sees_all() else None,
        )
    )


def pipeline_of(rule: Rule) -> str:
    """The pipeline that a rule was made for, "" for a rule of its own."""
    return rule.created_by.removeprefix(MADE_FOR) if rule.created_by.startswith(MADE_FOR) else ""


async def everybodys(call: Call) -> dict[str, PreferencesOut]:
    found = await preferences.list_(call.app.db, call.tenant_id, "", MOST)
    return {user_id: preferences_api.shown(user_id, wants) for user_id, wants in found}


async def put_preferences(call: Call) -> Response:
    """Somebody's preferences, by an admin: as if they had put them themselves."""
    user = no_nul("user", call.path("user"))
    theirs = replace(call, principal=replace(call.by, user_id=user))
    given = await call.body(PreferencesIn)
    return await preferences_api.keep(
        theirs, lambda known: preferences_api.changed(theirs, given, known), preferences_api.shown, by=call
    )


# What would change of endpoints.


async def compare(call: Call) -> Response:
    given = await call.body(CompareIn)
    items = []
    for number, endpoint in enumerate(given.endpoints):
        with within(f"endpoints[{number}]"):
            items.append(Compared(endpoint.id, endpoint.name, await differing(call, endpoint)))
    return reply(ComparedOut(tuple(items)))


@contextmanager
def within(place: str) -> Iterator[None]:
    """What is wrong is named with its place."""
    try:
        yield
    except Invalid as wrong:
        field = f"{place}.{wrong.field}" if wrong.field else place
        raise Invalid(field, wrong.found, wrong.expected) from None


async def differing(call: Call, given: EndpointGiven) -> tuple[str, ...]:
    """The fields that a change would change. Raises Invalid for what could not be saved."""
    app, provider = call.app, webhooks.provider_of(given.provider_type)
    if given.secret:
        await webhooks.check_secret(call, app.db, given.secret)
    webhooks.checked_patterns("enabled_events", given.enabled_events)
    await webhooks.headers_of(call, app.db, given.headers or {})
    options = webhooks.options_of(given, Options())
    if given.webhook_url is not None or not given.id:
        await webhooks.address_of(call, app.db, provider, given.webhook_url or "")
    if not given.id:
        await webhooks.settings_of(call, app.db, provider, given.settings)
        return tuple(EndpointGiven.__struct_fields__)
    known = await own(call, no_nul("id", given.id))
    if known.provider_type != given.provider_type:
        raise Invalid("provider_type", given.provider_type, f"{known.provider_type}, as it is: it cannot be changed")
    opened = await config.open_endpoint(app.db, app.keyring, call.tenant_id, known.id)
    kept = await webhooks.settings_of(call, app.db, provider, given.settings, opened.secret_settings)
    changes = {
        "name": given.name != known.name,
        "description": given.description != known.description,
        "webhook_url": given.webhook_url is not None and given.webhook_url != opened.address,
        "enabled_events": given.enabled_events != known.enabled_events,
        "settings": kept.seen != known.settings or kept.secret != opened.secret_settings,
        "is_active": given.is_active != known.is_active,
        "secret": bool(given.secret) and given.secret not in {secret.value for secret in opened.secrets[:1]},
        "headers": given.headers is not None and given.headers != opened.headers,
        "digest": options.digest != known.options.digest,
        "templates": options.templates != known.options.templates,
    }
    return tuple(name for name, is_other in changes.items() if is_other)


# What that would change for the last events.


async def preview(call: Call) -> Response:
    given = await call.body(PlanIn)
    config = await config_of(call)
    events = await last_events(call, given.last)
    now_ms = call.app.clock_ms()
    planned = await planned_config(call, config, given)
    old = await steps_of(events, Simulation(setup_of(call, config), events.since_ms), now_ms)
    new = await steps_of(events, Simulation(setup_of(call, planned), events.since_ms), now_ms)
    counts = count(old, None), count(new, None)
    rules = [(rule.name, rule.id, rule.id or NEW + rule.name) for rule in given.rules]
    rules += [(rule.name, rule.id, rule.id) for rule in config.rules if rule.id in given.deleted]
    return reply(
        PlanOut(
            len(events.events),
            *counts,
            changed(len(events.events), *counts),
            tuple(RuleChange(name, id_, count(old, id_), count(new, new_id)) for name, id_, new_id in rules),
            await switched_off(call),
        )
    )


def count(steps: list[Step], rule_id: str | None) -> int:
    """The messages of one rule, or of all."""
    return sum(rule_id in (None, send.rule.id) for step in steps for send in step.notifications())


async def planned_config(call: Call, known: store.Config, given: PlanIn) -> store.Config:
    """The configuration as it would be."""
    gone = set(given.deleted)
    rows: dict[str, Row] = {row[0]: row for row in known.endpoints if row[0] not in gone}
    for number, endpoint in enumerate(given.endpoints):
        with within(f"endpoints[{number}]"):
            webhooks.provider_of(endpoint.provider_type)
        id_ = endpoint.id or NEW + endpoint.name
        rows[id_] = changed_row(rows.get(id_), id_, endpoint)
    made_for = {MADE_FOR + pipeline.name for pipeline in given.pipelines}
    rules = {rule.id: rule for rule in known.rules if rule.id not in gone and rule.created_by not in made_for}
    for number, one in enumerate(given.rules):
        with within(f"rules[{number}]"):
            rule = new_rule(call, one, one.id or NEW + one.name)
            checked_rule(rule)
        rules.pop(rule.id, None)
        if rule.is_active:
            rules[rule.id] = rule
    for number, pipeline in enumerate(given.pipelines):
        for place, notification in enumerate(pipeline.notifications):
            with pipelines.naming(f"pipelines[{number}].notifications[{place}]"):
                id_ = f"{NEW}pipeline:{pipeline.name}:{place}"
                rule = replace(await pipelines.rule_of(call, pipeline.name, notification), id=id_)
            if rule.is_active:
                rules[id_] = rule
    in_order = sorted(rules.values(), key=lambda rule: (rule.id.startswith(NEW), rule.id))
    return replace(known, endpoints=[rows[id_] for id_ in sorted(rows)], rules=in_order)


def changed_row(row: Row | None, id_: str, given: EndpointGiven) -> Row:
    """As `config_endpoints` names its columns."""
    encode = msgspec.json.encode
    user_id, disabled, version, by = ("", "", 1, "") if row is None else (row[1], row[8], row[9], row[10])
    settings: Any = encode(given.settings) if row is None else row[5]
    options = encode(Options(given.digest, given.templates))
    types = encode(given.enabled_events)
    active = int(given.is_active)
    return id_, user_id, given.provider_type, given.name, types, settings, options, active, disabled, version, by


ROUTES = (
    Route(
        method="GET",
        path="/v1/config",
        handler=get,
        summary="Everything that people set up, without its secrets",
        role="viewer",
        answer=ConfigOut,
    ),
    Route(
        method="POST",
        path="/v1/config/compare",
        handler=compare,
        summary="Which fields of these endpoints are not so at present",
        role="developer",
        scope="read",
        body=CompareIn,
        answer=ComparedOut,
    ),
    Route(
        method="POST",
        path="/v1/config/preview",
        handler=preview,
        summary="What these changes would change for the last events",
        role="developer",
        scope="read",
        body=PlanIn,
        answer=PlanOut,
    ),
    Route(
        method="PUT",
        path="/v1/config/preferences/{user}",
        handler=put_preferences,
        action="preferences.update",
        summary="Change somebody's preferences",
        role="admin",
        body=PreferencesIn,
        answer=PreferencesOut,
        if_match=True,
    ),
)
