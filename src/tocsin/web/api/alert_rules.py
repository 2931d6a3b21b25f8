"""Rules: who hears of what."""

from typing import Annotated, Any, ClassVar, Literal

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace
from starlette.responses import Response

from tocsin.compose.templated import check as check_templates
from tocsin.model.errors import Invalid, NotFound
from tocsin.model.noise import (
    Changes,
    Flood,
    Grouping,
    Hours,
    Noise,
    Schedule,
    Templates,
    Watch,
    Window,
)
from tocsin.model.rule import RateLimit, RetryPolicy, Rule
from tocsin.rules.index import CompiledRule, compile_rule
from tocsin.rules.noise_check import check_noise
from tocsin.store import config
from tocsin.store.database import Reader
from tocsin.web.api.webhooks import checked_patterns
from tocsin.web.ownership import check_may_change, own
from tocsin.web.routes import (
    DELETED,
    PAGE,
    Call,
    Route,
    asks_deleted,
    cursor_of,
    no_nul,
    page,
    page_limit,
    reply,
    rfc3339,
    tagged,
)

NOISE = Noise.__struct_fields__
Name = Annotated[str, Meta(min_length=1, max_length=200)]


class RetryIn(Struct, frozen=True, forbid_unknown_fields=True):
    max_attempts: Annotated[int, Meta(ge=1, le=100)] | None = None
    base_s: Annotated[float, Meta(ge=0.1, le=86_400)] | None = None
    cap_s: Annotated[float, Meta(ge=0.1, le=86_400)] | None = None


class RateLimitIn(Struct, frozen=True, forbid_unknown_fields=True):
    count: Annotated[int, Meta(ge=1, le=100_000)]
    per_s: Annotated[float, Meta(gt=0, le=86_400)] = 1.0


class RuleIn(Noise, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=False):
    """A rule, with what it says about noise and time. `event_type` and `webhook_endpoint_id` are short for a list of
    one."""

    name: Name
    event_types: tuple[str, ...] = ()
    event_type: str | UnsetType = UNSET
    pipelines: tuple[str, ...] = ()
    labels: Annotated[dict[str, str], Meta(max_length=32)] = {}
    condition: str | None = None
    webhook_endpoint_ids: tuple[str, ...] = ()
    webhook_endpoint_id: str | UnsetType = UNSET
    is_active: bool = True
    retry: RetryIn | None = None
    rate_limit: RateLimitIn | None = None


class RulePatch(Struct, frozen=True, forbid_unknown_fields=True):
    name: Name | UnsetType = UNSET
    event_types: tuple[str, ...] | UnsetType = UNSET
    event_type: str | UnsetType = UNSET
    pipelines: tuple[str, ...] | UnsetType = UNSET
    labels: Annotated[dict[str, str], Meta(max_length=32)] | UnsetType = UNSET
    condition: str | UnsetType | None = UNSET
    webhook_endpoint_ids: tuple[str, ...] | UnsetType = UNSET
    webhook_endpoint_id: str | UnsetType = UNSET
    is_active: bool | UnsetType = UNSET
    retry: RetryIn | UnsetType | None = UNSET
    rate_limit: RateLimitIn | UnsetType | None = UNSET
    retries: Literal["silent", "thread", "alert"] | UnsetType = UNSET
    changes: Changes | UnsetType | None = UNSET
    window: Window | UnsetType | None = UNSET
    group: Grouping | UnsetType | None = UNSET
    flood: Flood | UnsetType | None = UNSET
    watch: Watch | UnsetType | None = UNSET
    schedule: Schedule | UnsetType | None = UNSET
    mute: Annotated[tuple[Hours, ...], Meta(max_length=20)] | UnsetType = UNSET
    templates: Templates | UnsetType | None = UNSET


class NoiseOut(Struct, frozen=True, kw_only=True):
    """What a rule says about noise and time, as it is shown: everything, whether it applies or not."""

    retries: str
    changes: Changes | None
    window: Window | None
    group: Grouping | None
    flood: Flood | None
    watch: Watch | None
    schedule: Schedule | None
    mute: tuple[Hours, ...]
    templates: Templates | None


class RuleOut(NoiseOut, frozen=True, kw_only=True):
    """A rule as it is saved. `last_fired_at`: when a message last came of it, sent or held back, to the minute."""

    id: str
    name: str
    event_types: tuple[str, ...]
    pipelines: tuple[str, ...]
    labels: dict[str, str]
    condition: str
    webhook_endpoint_ids: tuple[str, ...]
    is_active: bool
    retry: RetryPolicy
    rate_limit: RateLimit | None
    created_by: str
    created_at: str | None
    updated_at: str | None
    last_fired_at: str | None = None

    noted: ClassVar = ("last_fired_at",)


def shown(rule: Rule, fired_ms: int | None = None) -> RuleOut:
    return RuleOut(
        id=rule.id,
        name=rule.name,
        event_types=rule.event_types,
        pipelines=rule.pipelines,
        labels=rule.labels,
        condition=rule.condition,
        webhook_endpoint_ids=rule.endpoint_ids,
        is_active=rule.is_active,
        retry=rule.retry,
        rate_limit=rule.rate_limit,
        **{name: getattr(rule.noise, name) for name in NOISE},
        created_by=rule.created_by,
        created_at=rfc3339(rule.created_ms),
        updated_at=rfc3339(rule.updated_ms),
        last_fired_at=rfc3339(fired_ms),
    )


def noise_of(given: RuleIn | RulePatch, known: Noise) -> Noise:
    """What is said about noise and time, over what is known."""
    said = {name: getattr(given, name) for name in NOISE}
    return replace(known, **{name: value for name, value in said.items() if value is not UNSET})


def changes(given: RuleIn | RulePatch) -> dict[str, Any]:
    """The rule's fields that were given, checked, under their own names."""
    found: dict[str, Any] = {}
    for name in ("name", "event_types", "pipelines", "labels", "condition", "is_active"):
        value = getattr(given, name)
        if value is not UNSET:
            found[name] = value
    if given.event_type is not UNSET:
        found["event_types"] = (given.event_type,)
    if given.webhook_endpoint_ids is not UNSET:
        found["endpoint_ids"] = tuple(dict.fromkeys(given.webhook_endpoint_ids))
    if given.webhook_endpoint_id is not UNSET:
        found["endpoint_ids"] = (given.webhook_endpoint_id,)
    if given.retry is not UNSET:
        retry = given.retry
        found["retry"] = RetryPolicy(retry.max_attempts, retry.base_s, retry.cap_s) if retry else RetryPolicy()
    if given.rate_limit is not UNSET:
        rate = given.rate_limit
        found["rate_limit"] = RateLimit(rate.count, rate.per_s) if rate else None
    if "condition" in found:
        found["condition"] = found["condition"] or ""
    if "name" in found:
        no_nul("name", found["name"])
    for field in ("event_types", "pipelines"):
        if field in found:
            checked_patterns(field, found[field])
    for name, value in found.get("labels", {}).items():
        no_nul("labels", name)
        checked_patterns(f"labels.{name}", (value,))
    return found


def checked_rule(rule: Rule) -> CompiledRule:
    """Raises Invalid for what does not hold of itself."""
    compiled = compile_rule(rule)
    if len(rule.endpoint_ids) > 100:
        raise Invalid("webhook_endpoint_ids", f"{len(rule.endpoint_ids)} ids", "at most 100")
    check_noise(rule.noise, rule.pipelines)
    if rule.noise.templates is not None:
        check_templates(rule.noise.templates, "templates")
    return compiled


async def checked(call: Call, rule: Rule, tx: Reader | None = None, known: tuple[str, ...] = ()) -> CompiledRule:
    """Raises Invalid for endpoints that the caller does not see, too; `known` are those it leads to already."""
    compiled = checked_rule(rule)
    for number, id_ in enumerate(rule.endpoint_ids):
        if id_ in known:
            continue
        try:
            await own(call, no_nul("webhook_endpoint_ids", id_), tx)
        except NotFound:
            field = f"webhook_endpoint_ids[{number}]"
            raise Invalid(field, repr(id_[:60]), "the id of a webhook of this tenant") from None
    return compiled


def rule_of(given: RuleIn, id_: str, tenant_id: str, by: str, now_ms: int) -> Rule:
    fields = changes(given)
    return Rule(
        id=id_,
        tenant_id=tenant_id,
        noise=noise_of(given, Noise()),
        created_by=by,
        created_ms=now_ms,
        updated_ms=now_ms,
        **fields,
    )


def new_rule(call: Call, given: RuleIn, id_: str) -> Rule:
    return rule_of(given, id_, call.tenant_id, call.by.who, call.app.clock_ms())


async def create(call: Call) -> Response:
    rule = new_rule(call, await call.body(RuleIn), call.app.new_id("rul"))
    await checked(call, rule)
    async with call.app.db.transaction() as tx:
        await call.check_room(tx, "rules")
        await config.add_rule(tx, rule)
        await call.audit(tx, "rule.create", "rule", rule.id, None, shown(rule))
        return await call.made(tx, shown(rule))


async def find(call: Call, tx: Reader | None = None) -> Rule:
    return await config.get_rule(tx or call.app.db, call.tenant_id, no_nul("id", call.path("id")))


async def get(call: Call) -> Response:
    rule = await find(call)
    fired = await config.rules_fired(call.app.db, call.tenant_id, [rule.id])
    return tagged(shown(rule, fired.get(rule.id)))


async def list_(call: Call) -> Response:
    limit = page_limit(call)
    found = await config.list_rules(
        call.app.db,
        call.tenant_id,
        after=cursor_of(call, ""),
        limit=limit + 1,
        deleted=asks_deleted(call),
        webhook_id=call.request.query_params.get("webhook_id", ""),
    )
    fired = await config.rules_fired(call.app.db, call.tenant_id, [rule.id for rule in found])
    return reply(page([shown(rule, fired.get(rule.id)) for rule in found], limit, lambda rule: str(rule.id)))


async def change(call: Call) -> Response:
    given = await call.body(RulePatch)
    async with call.changing() as tx:
        known = await find(call, tx)
        call.check_unchanged(shown(known))
        await check_may_change(call, known, tx)
        rule = replace(known, noise=noise_of(given, known.noise), **changes(given))
        await checked(call, rule, tx, known.endpoint_ids)
        await config.change_rule(tx, rule, call.app.clock_ms())
        await call.audit(tx, "rule.update", "rule", rule.id, shown(known), shown(rule))
    return await get(call)


async def restore(call: Call) -> Response:
    async with call.changing() as tx:
        await call.check_room(tx, "rules")
        rule = await config.restore_rule(tx, call.tenant_id, no_nul("id", call.path("id")), call.app.clock_ms())
        await check_may_change(call, rule, tx)
        await call.audit(tx, "rule.restore", "rule", rule.id, None, shown(rule))
    return tagged(shown(rule))


async def delete(call: Call) -> Response:
    async with call.changing() as tx:
        rule = await find(call, tx)
        call.check_unchanged(shown(rule))
        await check_may_change(call, rule, tx)
        await config.delete_rule(tx, call.tenant_id, rule.id, call.app.clock_ms())
        await call.audit(tx, "rule.delete", "rule", rule.id, shown(rule), None)
    return Response(status_code=204)


ID = "/v1/alert-rules/{id}"
ROUTES = (
    Route(
        method="POST",
        path="/v1/alert-rules",
        handler=create,
        action="rule.create",
        summary="Add a rule",
        role="developer",
        body=RuleIn,
        answer=RuleOut,
        status=201,
    ),
    Route(
        method="GET",
        path="/v1/alert-rules",
        handler=list_,
        summary="Rules",
        role="viewer",
        answer=RuleOut,
        query={"webhook_id": "Only rules that lead to this webhook_id"} | {"deleted": DELETED} | PAGE,
    ),
    Route(
        method="POST",
        path=f"{ID}/restore",
        handler=restore,
        action="rule.restore",
        summary="Bring back a rule that was deleted",
        role="developer",
        answer=RuleOut,
    ),
    Route(method="GET", path=ID, handler=get, summary="One rule", role="viewer", answer=RuleOut),
    Route(
        method="PATCH",
        path=ID,
        handler=change,
        action="rule.update",
        summary="Change a rule",
        role="developer",
        body=RulePatch,
        answer=RuleOut,
        if_match=True,
    ),
    Route(
        method="DELETE",
        path=ID,
        handler=delete,
        action="rule.delete",
        summary="Delete a rule (softly)",
        role="developer",
        status=204,
        if_match=True,
    ),
)
