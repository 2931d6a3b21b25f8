"""Pipelines: those that were seen, and who is told of one of them, in one place. Rules are underneath."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any
from urllib.parse import quote

from msgspec import Meta, Struct
from msgspec.structs import replace
from starlette.responses import Response

from tocsin.model.endpoint import Endpoint
from tocsin.model.errors import Invalid, NotFound
from tocsin.model.noise import Noise
from tocsin.model.rule import Rule
from tocsin.provider_kit.text import cut, line
from tocsin.rules.pattern import MAX_CHARS, is_exact
from tocsin.store import config, pipelines
from tocsin.store.database import Reader
from tocsin.web.api.alert_rules import NOISE, NoiseOut, checked
from tocsin.web.api.webhooks import checked_patterns, provider_of, typed_settings
from tocsin.web.ownership import MADE_FOR, hidden_endpoints, own
from tocsin.web.routes import (
    PAGE,
    Call,
    Route,
    as_cursor,
    name_cursor,
    no_nul,
    page,
    page_limit,
    reply,
    rfc3339,
    tagged,
)

LAST_RUNS = 100
NAME_CHARS = 60
FIELD_OF = {"mention_on_failure": "mentions", "use_rich_formatting": "format", "format": "format"}
"""By the setting of a webhook, the field here that sets it."""


class PipelineOut(Struct, frozen=True):
    """`last_status`: how its last run ended, or how far it is where none has ended. The counts are of the last 100 runs
    that have ended. `notifications` is where one says who is told."""

    name: str
    last_status: str
    last_finished_at: str | None
    runs: int
    succeeded: int
    failed: int
    notifications: str


class Notification(Noise, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=False):
    """Who is told, and of what. No `events` means all. `format` is rich or plain in chat and mail, and of a custom
    webhook the body's format; `mentions` is its mention_on_failure, for this pipeline. The others are as in a rule."""

    webhook_id: str
    events: tuple[str, ...] = ()
    format: Annotated[str, Meta(max_length=40)] | None = None
    mentions: bool | str | tuple[str, ...] | None = None
    condition: str | None = None
    labels: Annotated[dict[str, str], Meta(max_length=32)] = {}
    is_active: bool = True


class NotificationsIn(Struct, frozen=True, forbid_unknown_fields=True):
    """All of it: what is left out is gone."""

    notifications: Annotated[tuple[Notification, ...], Meta(max_length=50)]


class NotificationOut(NoiseOut, frozen=True, kw_only=True):
    rule_id: str
    webhook_id: str
    events: tuple[str, ...]
    format: str | None
    mentions: bool | str | tuple[str, ...] | None
    condition: str
    labels: dict[str, str]
    is_active: bool
    updated_at: str | None


class NotificationsOut(Struct, frozen=True):
    pipeline: str
    notifications: tuple[NotificationOut, ...]


def shown(rule: Rule) -> NotificationOut:
    settings = rule.settings
    rich = settings.get("use_rich_formatting")
    return NotificationOut(
        rule_id=rule.id,
        webhook_id=rule.endpoint_ids[0] if rule.endpoint_ids else "",
        events=rule.event_types,
        format=settings.get("format") or (None if rich is None else "rich" if rich else "plain"),
        mentions=settings.get("mention_on_failure"),
        condition=rule.condition,
        labels=rule.labels,
        is_active=rule.is_active,
        **{name: getattr(rule.noise, name) for name in NOISE},
        updated_at=rfc3339(rule.updated_ms),
    )


def path_of(name: str) -> str:
    return f"/v1/pipelines/{quote(name, safe='')}/notifications"


async def list_(call: Call) -> Response:
    limit = page_limit(call)
    found = await pipelines.list_(call.app.db, call.tenant_id, after=name_cursor(call), limit=limit + 1, last=LAST_RUNS)
    items = [
        PipelineOut(
            name=one.name,
            last_status=one.last_status,
            last_finished_at=rfc3339(one.last_finished_ms),
            runs=one.ended,
            succeeded=one.succeeded,
            failed=one.failed,
            notifications=path_of(one.name),
        )
        for one in found
    ]
    return reply(page(items, limit, lambda one: as_cursor(one.name)))


def name_of(call: Call) -> str:
    return no_nul("name", call.path("name"))


def settings_for(call: Call, endpoint: Endpoint, given: Notification) -> dict[str, Any]:
    """What the rule sets of the endpoint's settings. Raises Invalid where its provider has no such thing."""
    provider = provider_of(endpoint.provider_type)
    known = provider.settings_type.__struct_fields__
    found: dict[str, Any] = {}
    if given.mentions is not None:
        if "mention_on_failure" not in known:
            raise Invalid("mentions", "mentions", f"none: {provider.label} mentions nobody")
        found["mention_on_failure"] = given.mentions
    if given.format is not None:
        if "format" in known:
            found["format"] = given.format
        elif "use_rich_formatting" not in known:
            raise Invalid("format", repr(given.format), f"none: {provider.label} has one format")
        elif given.format not in ("rich", "plain"):
            raise Invalid("format", repr(given.format), f"rich or plain for {provider.label}")
        else:
            found["use_rich_formatting"] = given.format == "rich"
    for name, value in found.items():
        try:
            typed_settings(call.app, provider, endpoint.settings | {name: value})
        except Invalid as wrong:
            raise Invalid(FIELD_OF[name], wrong.found, wrong.expected) from None
    return found


async def rule_of(call: Call, name: str, given: Notification) -> Rule:
    """Checked, without an id."""
    now_ms = call.app.clock_ms()
    try:
        endpoint = await own(call, no_nul("webhook_id", given.webhook_id))
    except NotFound:
        raise Invalid("webhook_id", repr(given.webhook_id[:60]), "the id of a webhook of this tenant") from None
    for label, value in given.labels.items():
        no_nul("labels", label)
        checked_patterns(f"labels.{label}", (value,))
    rule = Rule(
        id="",
        tenant_id=call.tenant_id,
        name=f"{cut(line(name), NAME_CHARS)}: {cut(line(endpoint.name), NAME_CHARS)}",
        event_types=checked_patterns("events", given.events),
        pipelines=(name,),
        labels=given.labels,
        condition=given.condition or "",
        endpoint_ids=(endpoint.id,),
        settings=settings_for(call, endpoint, given),
        noise=Noise(**{field: getattr(given, field) for field in NOISE}),
        is_active=given.is_active,
        created_by=MADE_FOR + name,
        created_ms=now_ms,
        updated_ms=now_ms,
    )
    await checked(call, rule)
    return rule


@contextmanager
def naming(place: str) -> Iterator[None]:
    """What is wrong is named as it was given."""
    try:
        yield
    except Invalid as wrong:
        raise Invalid(f"{place}.{wrong.field}", wrong.found, wrong.expected) from None


async def seen(call: Call, rules: list[Rule], db: Reader | None = None) -> list[Rule]:
    """Those that lead to webhooks that the caller sees; the others are not theirs to replace."""
    hidden = await hidden_endpoints(call, db)
    return [rule for rule in rules if not hidden.intersection(rule.endpoint_ids)]


async def get(call: Call) -> Response:
    name = name_of(call)
    found = await seen(call, await pipelines.rules(call.app.db, call.tenant_id, MADE_FOR + name))
    return tagged(NotificationsOut(name, tuple(map(shown, found))))


async def put(call: Call) -> Response:
    """Takes the place of all that was set here. A rule for a webhook that had one keeps its id, and what it knows."""
    name = name_of(call)
    if not name or len(name) > MAX_CHARS or not is_exact(name):
        raise Invalid("name", repr(name[:60]), f"a pipeline's name, without * and ?, of at most {MAX_CHARS} characters")
    wanted = []
    for number, given in enumerate((await call.body(NotificationsIn)).notifications):
        with naming(f"notifications[{number}]"):
            wanted.append(await rule_of(call, name, given))
    now_ms = call.app.clock_ms()
    async with call.app.db.transaction() as tx:
        old = await seen(call, await pipelines.rules_to_replace(tx, call.tenant_id, MADE_FOR + name), tx)
        before = NotificationsOut(name, tuple(map(shown, old)))
        call.check_unchanged(before)
        await call.check_room(tx, "rules", len(wanted) - len(old))
        kept = []
        for rule in wanted:
            known = next((one for one in old if one.endpoint_ids == rule.endpoint_ids), None)
            if known is None:
                kept.append(replace(rule, id=call.app.new_id("rul")))
                await config.add_rule(tx, kept[-1])
            else:
                old.remove(known)
                kept.append(replace(rule, id=known.id))
                await config.change_rule(tx, kept[-1], now_ms)
        for gone in old:
            await config.delete_rule(tx, call.tenant_id, gone.id, now_ms)
        after = NotificationsOut(name, tuple(map(shown, kept)))
        await call.audit(tx, "pipeline.update", "pipeline", name, before, after)
    return await get(call)


async def delete(call: Call) -> Response:
    name = name_of(call)
    async with call.app.db.transaction() as tx:
        found = await seen(call, await pipelines.rules_to_replace(tx, call.tenant_id, MADE_FOR + name), tx)
        before = NotificationsOut(name, tuple(map(shown, found)))
        call.check_unchanged(before)
        for rule in found:
            await config.delete_rule(tx, call.tenant_id, rule.id, call.app.clock_ms())
        if not found:
            raise NotFound("Nothing is set for this pipeline.")
        await call.audit(tx, "pipeline.delete", "pipeline", name, before, None)
    return Response(status_code=204)


PATH = "/v1/pipelines/{name}/notifications"
ROUTES = (
    Route(
        method="GET",
        path="/v1/pipelines",
        handler=list_,
        summary="Pipelines that had runs, by name",
        role="viewer",
        answer=PipelineOut,
        query=PAGE,
    ),
    Route(
        method="GET",
        path=PATH,
        handler=get,
        summary="Who is told of a pipeline; slashes in its name are written %2F",
        role="viewer",
        answer=NotificationsOut,
    ),
    Route(
        method="PUT",
        path=PATH,
        handler=put,
        action="pipeline.update",
        summary="Say who is told of a pipeline, in place of all that was said here",
        role="developer",
        body=NotificationsIn,
        if_match=True,
        answer=NotificationsOut,
    ),
    Route(
        method="DELETE",
        path=PATH,
        handler=delete,
        action="pipeline.delete",
        summary="Nobody is told of a pipeline because of what was said here",
        role="developer",
        status=204,
        if_match=True,
    ),
)
