"""Many at once: webhooks, rules, silences, deliveries that wait. Nobody acts on more than they have seen, nor on what
is not theirs."""

import datetime as dt
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from starlette.responses import Response

from tocsin.model.errors import Conflict, Invalid
from tocsin.rules.pattern import check_pattern, matches
from tocsin.store import config, log, rows, silences
from tocsin.store.database import Transaction
from tocsin.web.api.deliveries import Code, Text, parts_of
from tocsin.web.ownership import hidden_endpoints, may_change, owned_by, owns, seen_by
from tocsin.web.routes import LAST, Call, Moment, Route, no_nul, reply

MOST = 1000
"""That one request changes. More take a narrower filter, or several requests."""

MOST_LOOKED_AT = 100_000
Ids = Annotated[tuple[str, ...], Meta(min_length=1, max_length=MOST)]
Count = Annotated[int, Meta(ge=0, le=MOST)]
Kept = Literal["enable", "disable", "delete", "restore"]


class Bulk(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """At least one filter has to be given; all that are given have to fit. `ids`: only these. `name` is a pattern with
    * and ?. `dry_run` says the count and changes nothing; else `expected` has to be that count, or nothing changes."""

    ids: Ids | UnsetType = UNSET
    dry_run: bool = False
    expected: Count | UnsetType = UNSET


class WebhooksBulk(Bulk, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`restore` looks among those that were deleted. `failing`: those that Tocsin has switched off."""

    action: Kept
    name: str | UnsetType = UNSET
    provider_type: str | UnsetType = UNSET
    is_active: bool | UnsetType = UNSET
    failing: bool | UnsetType = UNSET


class RulesBulk(Bulk, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`restore` looks among those that were deleted. `webhook_id`: those that lead there."""

    action: Kept
    name: str | UnsetType = UNSET
    webhook_id: str | UnsetType = UNSET
    is_active: bool | UnsetType = UNSET


class SilencesBulk(Bulk, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Of those that are not over. `reason` is a pattern."""

    action: Literal["end"]
    reason: str | UnsetType = UNSET
    created_by: str | UnsetType = UNSET


class CancelIn(Bulk, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Of those that wait. `pipeline` and `reason` may end with `*`: all that begin so. `code`: of the last answer, such
    as 404, 5xx, or none. `text`: in the title, type, pipeline or run. `since` and `until`: made in this time."""

    webhook_id: str | UnsetType = UNSET
    rule_id: str | UnsetType = UNSET
    event_type: str | UnsetType = UNSET
    provider_type: str | UnsetType = UNSET
    pipeline: str | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    code: Code | UnsetType = UNSET
    text: Text | UnsetType = UNSET
    since: Moment | UnsetType = UNSET
    until: Moment | UnsetType = UNSET


class BulkOut(Struct, frozen=True):
    """`count`: so many fit; `changed`: so many were changed, none in a dry run. `ids` are those that fit."""

    count: int
    changed: int
    dry_run: bool
    ids: tuple[str, ...]


def filters_in(given: Bulk) -> dict[str, Any]:
    """The filters that were given. Raises Invalid where there is none, and for patterns that are none."""
    names = [name for name in given.__struct_fields__ if name not in ("action", "dry_run", "expected")]
    found = {name: getattr(given, name) for name in names if getattr(given, name) is not UNSET}
    if not found:
        raise Invalid("", "no filter", f"at least one of {', '.join(names)}")
    for name, value in found.items():
        if isinstance(value, str):
            is_pattern = name == "name" or (name == "reason" and isinstance(given, SilencesBulk))
            check_pattern(name, value) if is_pattern else no_nul(name, value)
    if not given.dry_run and given.expected is UNSET:
        raise Invalid("expected", "nothing", "the count that `dry_run` says")
    return found


def check_count(given: Bulk, count: int) -> None:
    """Raises Invalid where it is too many, Conflict where it is not what the caller expects."""
    if count > MOST:
        raise Invalid("", f"a filter that more than {MOST} fit", f"one that at most {MOST} fit")
    if not given.dry_run and given.expected != count:
        raise Conflict(
            f"Nothing was changed: {count} fit, and {given.expected} were expected. Look again with dry_run."
        )


async def done(call: Call, tx: Transaction, given: Bulk, what: tuple[str, str], ids: list[str]) -> Response:
    """The answer, with one entry in the audit trail. `what`: its action and kind."""
    entry = msgspec.to_builtins(given) | {"count": len(ids), "ids": ids}
    await call.audit(tx, *what, "", None, entry)
    return reply(BulkOut(len(ids), len(ids), False, tuple(ids)))


async def webhooks(call: Call) -> Response:
    given = await call.body(WebhooksBulk)
    filters, now_ms = filters_in(given), call.app.clock_ms()
    asked = seen_by(call.by)
    asked |= {"provider_type": filters["provider_type"]} if "provider_type" in filters else {}
    async with call.changing() as tx:
        known = await config.list_endpoints(
            tx, call.tenant_id, after="", limit=MOST_LOOKED_AT, filters=asked, deleted=given.action == "restore"
        )
        ids = [
            one.id
            for one in known
            if owns(call.by, one)
            and one.id in filters.get("ids", (one.id,))
            and matches(filters.get("name", "*"), one.name)
            and filters.get("is_active", one.is_active) == one.is_active
            and filters.get("failing", bool(one.disabled_reason)) == bool(one.disabled_reason)
        ]
        check_count(given, len(ids))
        if given.dry_run:
            return reply(BulkOut(len(ids), 0, True, tuple(ids)))
        if given.action == "restore":
            await call.check_room(tx, "endpoints", len(ids))
        for id_ in ids:
            if given.action == "delete":
                await config.delete_endpoint(tx, call.tenant_id, id_, now_ms)
            elif given.action == "restore":
                await config.restore_endpoint(tx, call.tenant_id, id_, now_ms)
            else:
                is_active = given.action == "enable"
                await config.switch_endpoint(tx, call.tenant_id, id_, is_active=is_active, reason="", now_ms=now_ms)
        answer = await done(call, tx, given, ("webhook.change_many", "webhook"), ids)
    call.app.deliver.wake()
    return answer


async def rules(call: Call) -> Response:
    given = await call.body(RulesBulk)
    filters, now_ms = filters_in(given), call.app.clock_ms()
    async with call.changing() as tx:
        known = await config.list_rules(
            tx, call.tenant_id, after="", limit=MOST_LOOKED_AT, deleted=given.action == "restore"
        )
        hidden = await hidden_endpoints(call, tx)
        fitting = [
            one
            for one in known
            if may_change(call.by, one, hidden)
            and one.id in filters.get("ids", (one.id,))
            and matches(filters.get("name", "*"), one.name)
            and ("webhook_id" not in filters or filters["webhook_id"] in one.endpoint_ids)
            and filters.get("is_active", one.is_active) == one.is_active
        ]
        ids = [one.id for one in fitting]
        check_count(given, len(ids))
        if given.dry_run:
            return reply(BulkOut(len(ids), 0, True, tuple(ids)))
        if given.action == "restore":
            await call.check_room(tx, "rules", len(ids))
        for rule in fitting:
            if given.action == "delete":
                await config.delete_rule(tx, call.tenant_id, rule.id, now_ms)
            elif given.action == "restore":
                await config.restore_rule(tx, call.tenant_id, rule.id, now_ms)
            else:
                active = msgspec.structs.replace(rule, is_active=given.action == "enable")
                await config.change_rule(tx, active, now_ms)
        return await done(call, tx, given, ("rule.change_many", "rule"), ids)


async def end_silences(call: Call) -> Response:
    given = await call.body(SilencesBulk)
    filters, now_ms = filters_in(given), call.app.clock_ms()
    async with call.changing() as tx:
        known = await silences.list_(tx, call.tenant_id, before=LAST, limit=MOST_LOOKED_AT, filters={"open": now_ms})
        ids = [
            kept.silence.id
            for kept in known
            if kept.silence.id in filters.get("ids", (kept.silence.id,))
            and matches(filters.get("reason", "*"), kept.silence.reason)
            and filters.get("created_by", kept.silence.created_by) == kept.silence.created_by
        ]
        check_count(given, len(ids))
        if given.dry_run:
            return reply(BulkOut(len(ids), 0, True, tuple(ids)))
        for id_ in ids:
            await silences.end(tx, call.tenant_id, id_, now_ms)
        return await done(call, tx, given, ("silence.end_many", "silence"), ids)


async def cancel(call: Call) -> Response:
    """What is being sent at this moment too: its result comes to nothing."""
    given = await call.body(CancelIn)
    filters = filters_in(given)
    for name in ("since", "until"):
        if isinstance(moment := filters.get(name), dt.datetime):
            filters[name] = int(moment.timestamp() * 1000)
    wanted = filters.pop("ids", None)
    filters = parts_of(call.by, filters) | owned_by(call.by)
    filters |= {"ids": rows.text(list(wanted))} if wanted else {}
    async with call.changing() as tx:
        ids: list[str] = []
        for state in ({"pending": True}, {"status": "retrying"}, {"status": "sending"}):
            found = await log.list_deliveries(tx, call.tenant_id, before=LAST, limit=MOST + 1, filters=filters | state)
            ids += [row["id"] for row in found]
        check_count(given, len(ids))
        if given.dry_run:
            return reply(BulkOut(len(ids), 0, True, tuple(ids)))
        for id_ in ids:
            await log.cancel(tx, call.tenant_id, id_, f"cancelled by {call.by.who}", call.app.clock_ms())
        return await done(call, tx, given, ("delivery.cancel_many", "delivery"), ids)


ROUTES = (
    Route(
        method="POST",
        path="/v1/webhooks/bulk",
        handler=webhooks,
        name="change_webhooks",
        action="webhook.change_many",
        summary="Switch on or off, delete or restore all endpoints that fit; dry_run says which",
        role="developer",
        body=WebhooksBulk,
        answer=BulkOut,
        problems=(409,),
        example={"action": "disable", "provider_type": "slack", "dry_run": True},
    ),
    Route(
        method="POST",
        path="/v1/alert-rules/bulk",
        handler=rules,
        name="change_alert_rules",
        action="rule.change_many",
        summary="Switch on or off, delete or restore all rules that fit; dry_run says which",
        role="developer",
        body=RulesBulk,
        answer=BulkOut,
        problems=(409,),
        example={"action": "delete", "name": "test *", "expected": 3},
    ),
    Route(
        method="POST",
        path="/v1/silences/bulk",
        handler=end_silences,
        name="end_silences",
        action="silence.end_many",
        summary="End all silences that fit; dry_run says which",
        role="developer",
        body=SilencesBulk,
        answer=BulkOut,
        problems=(409,),
        example={"action": "end", "reason": "deploy*", "dry_run": True},
    ),
    Route(
        method="POST",
        path="/v1/deliveries/cancel",
        handler=cancel,
        name="cancel_deliveries",
        action="delivery.cancel_many",
        summary="Do not send what waits and fits; dry_run says how much",
        role="developer",
        body=CancelIn,
        answer=BulkOut,
        problems=(409,),
        example={"webhook_id": "whk_0198c5f2", "dry_run": True},
    ),
)
