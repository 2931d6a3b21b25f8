"""Deliveries: the log, dead letters, replay."""

import datetime as dt
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace
from starlette.responses import Response

from tocsin.app import App
from tocsin.model.delivery import WAITING, Status
from tocsin.model.errors import Conflict, Forbidden, Invalid, NotFound
from tocsin.providers import PROVIDERS
from tocsin.store import log
from tocsin.web.auth import Principal
from tocsin.web.ownership import owned_by, seen_by
from tocsin.web.replies import sees_words, status_alone
from tocsin.web.routes import (
    A_TIME,
    LAST,
    PAGE,
    Call,
    Moment,
    Param,
    Route,
    cursor_of,
    filters_of,
    no_nul,
    page,
    page_limit,
    reply,
    rfc3339,
)

FILTERS = ("status", "webhook_id", "event_id", "rule_id", "event_type", "provider_type", "folded_into")
REPLAYABLE = ("dead", "expired", "cancelled", "suppressed", "delivered")
MOST_REPLAYED = 10_000
REPLAYED_AT_ONCE = 500
REPLAYED, CANCELLED = {"status": "waits again"}, {"status": "cancelled"}


class RecoverIn(Struct, frozen=True, forbid_unknown_fields=True):
    """`dry_run` says the count and changes nothing; where `expected` is given and is not the count, neither is anything
    changed."""

    since: Moment
    until: Moment | None = None
    status: tuple[Literal["dead", "expired", "cancelled", "suppressed"], ...] = ("dead", "expired")
    dry_run: bool = False
    expected: Annotated[int, Meta(ge=0)] | None = None


class ReplayIn(Struct, frozen=True, forbid_unknown_fields=True):
    """Which deliveries to send again, the newest 10,000 of them. At least one of the filters must be given. `dry_run`
    says the count and changes nothing; where `expected` is given and is not the count, neither is anything changed."""

    status: tuple[Literal["dead", "expired", "cancelled", "suppressed", "delivered"], ...] = ("dead", "expired")
    webhook_id: str | UnsetType = UNSET
    rule_id: str | UnsetType = UNSET
    event_type: str | UnsetType = UNSET
    provider_type: str | UnsetType = UNSET
    since: Moment | UnsetType = UNSET
    until: Moment | UnsetType = UNSET
    dry_run: bool = False
    expected: Annotated[int, Meta(ge=0)] | None = None


class Replayed(Struct, frozen=True):
    """`count`: so many match; `replayed`: so many of them are sent again, none in a dry run."""

    count: int
    replayed: int
    dry_run: bool


class DeliveryOut(Struct, frozen=True):
    """One message for one endpoint, and how far it got. `folded_into`: the delivery that tells of this one, too, or "".
    `folded`: how many others this one tells of; `?folded_into=` lists them."""

    id: str
    event_id: str
    event_type: str
    rule_id: str
    webhook_id: str
    provider_type: str
    status: str
    reason: str
    attempts: int
    http_status_code: int | None
    error_message: str
    next_attempt_at: str | None
    created_at: str | None
    delivered_at: str | None
    folded_into: str
    folded: int


class AttemptOut(Struct, frozen=True):
    number: int
    started_at: str | None
    duration_ms: int
    status: str
    http_status_code: int | None
    error_message: str
    response_body: str
    request_body: str


class DeliveryWithAttempts(DeliveryOut, frozen=True):
    log: tuple[AttemptOut, ...]


def fields(found: dict[str, Any]) -> dict[str, Any]:
    waits = found["status"] in ("pending", "retrying")
    return {
        "id": found["id"],
        "event_id": found["event_id"],
        "event_type": found["event_type"],
        "rule_id": found["rule_id"],
        "webhook_id": found["webhook_id"],
        "provider_type": found["provider_type"],
        "status": found["status"],
        "reason": found["reason"],
        "attempts": found["attempts"],
        "http_status_code": found["http_status_code"],
        "error_message": found["error_message"],
        "next_attempt_at": rfc3339(found["due_ms"]) if waits else None,
        "created_at": rfc3339(found["created_ms"]),
        "delivered_at": rfc3339(found["delivered_ms"]),
        "folded_into": found["folded_into"],
        "folded": found["folded"],
    }


async def shown_with_attempts(app: App, tenant_id: str, found: dict[str, Any]) -> DeliveryWithAttempts:
    attempts = await log.list_attempts(app.db, tenant_id, found["id"])
    return DeliveryWithAttempts(
        **fields(found),
        log=tuple(
            AttemptOut(
                number, rfc3339(started_ms), duration_ms, outcome, status, error, response,
                bytes(request or b"").decode("utf-8", "replace"),
            )
            for number, started_ms, duration_ms, outcome, status, error, response, request in attempts
        ),
    )  # fmt: skip


Shown = TypeVar("Shown", bound=DeliveryOut)


def for_reader(by: Principal, shown: Shown) -> Shown:
    """Without what the receiver said, where the reader is a viewer."""
    return shown if sees_words(by) else wordless(shown)


def wordless(shown: Shown) -> Shown:
    seen = replace(shown, reason=status_alone(shown.reason), error_message=status_alone(shown.error_message))
    if isinstance(seen, DeliveryWithAttempts):
        log = [replace(one, response_body="", error_message=status_alone(one.error_message)) for one in seen.log]
        return replace(seen, log=tuple(log))
    return seen


async def list_(call: Call) -> Response:
    limit = page_limit(call)
    filters: dict[str, Any] = filters_of(call, (*FILTERS, "since", "until"))
    filters |= {name: moment_ms(filters[name]) for name in ("since", "until") if name in filters}
    filters |= seen_by(call.by)
    before = cursor_of(call, LAST)
    found = await log.list_deliveries(call.app.db, call.tenant_id, before=before, limit=limit + 1, filters=filters)
    items = [for_reader(call.by, DeliveryOut(**fields(row))) for row in found]
    return reply(page(items, limit, lambda delivery: str(delivery.id)))


def moment_ms(text: str) -> int:
    moment: dt.datetime = msgspec.convert(text, Moment)
    return int(moment.timestamp() * 1000)


async def find(call: Call, *, to_change: bool = False) -> dict[str, Any]:
    """Raises NotFound, and Forbidden where its webhook is not the caller's `to_change`."""
    id_ = no_nul("id", call.path("id"))
    found = await log.get_delivery(call.app.db, call.tenant_id, id_, seen_by(call.by))
    if found is None:
        raise NotFound("No such delivery.")
    if to_change and await log.get_delivery(call.app.db, call.tenant_id, id_, owned_by(call.by)) is None:
        raise Forbidden("This went to a webhook of the tenant's: only an admin may do that.")
    return found


async def get(call: Call) -> Response:
    return reply(for_reader(call.by, await shown_with_attempts(call.app, call.tenant_id, await find(call))))


async def replay(call: Call) -> Response:
    found = await find(call, to_change=True)
    app, now_ms = call.app, call.app.clock_ms()
    async with app.db.transaction() as tx:
        expires_ms = now_ms + longest_age_s(found["provider_type"]) * 1000
        done = await log.replay(tx, call.tenant_id, [found["id"]], now_ms, expires_ms)
        if done:
            await call.audit(tx, "delivery.replay", "delivery", found["id"], {"status": found["status"]}, REPLAYED)
    app.deliver.wake()
    if not done:
        waits = found["status"] in WAITING
        because = f"it is {found['status']}, on its way already" if waits else "its webhook was deleted"
        raise Conflict(f"This delivery cannot be sent again: {because}.")
    return reply(DeliveryOut(**fields(await find(call))), 202)


async def cancel(call: Call) -> Response:
    found = await find(call, to_change=True)
    app = call.app
    async with app.db.transaction() as tx:
        done = await log.cancel(tx, call.tenant_id, found["id"], f"cancelled by {call.by.who}", app.clock_ms())
        if done:
            await call.audit(tx, "delivery.cancel", "delivery", found["id"], {"status": found["status"]}, CANCELLED)
    if not done:
        raise Conflict(f"This delivery is {found['status']}: there is nothing to cancel.")
    return reply(DeliveryOut(**fields(await find(call))))


def longest_age_s(provider_type: str) -> int:
    return PROVIDERS[provider_type].max_age_s if provider_type in PROVIDERS else 6 * 3600


async def replay_by_filter(call: Call) -> Response:
    given = await call.body(ReplayIn)
    filters = {
        name: getattr(given, name)
        for name in ("webhook_id", "rule_id", "event_type", "provider_type")
        if getattr(given, name) is not UNSET
    }
    for name, value in filters.items():
        no_nul(name, value)
    if not filters and given.since is UNSET:
        raise Invalid("", "no filter", "since, or one of webhook_id, rule_id, event_type, provider_type")
    return await replay_matching(call, given, filters, "delivery.replay_many", "delivery", "")


async def replay_matching(
    call: Call, given: ReplayIn | RecoverIn, filters: dict[str, Any], action: str, kind: str, id_: str
) -> Response:
    """All that match and are the caller's, a page at a time; with `dry_run` only their number. One entry in the audit
    trail, written before the first is sent."""
    app = call.app
    if isinstance(given.since, dt.datetime):
        filters["since"] = int(given.since.timestamp() * 1000)
    if isinstance(given.until, dt.datetime):
        filters["until"] = int(given.until.timestamp() * 1000)
    theirs = owned_by(call.by)
    matching: list[tuple[str, str]] = []
    for status in dict.fromkeys(given.status):
        before = LAST
        while len(matching) < MOST_REPLAYED:
            found = await log.list_deliveries(
                app.db, call.tenant_id, before=before, limit=1000, filters=filters | theirs | {"status": status}
            )
            matching += [(row["id"], row["provider_type"]) for row in found]
            if len(found) < 1000:
                break
            before = found[-1]["id"]
    matching = matching[:MOST_REPLAYED]
    if given.dry_run:
        return reply(Replayed(len(matching), 0, dry_run=True))
    if given.expected not in (None, len(matching)):
        raise Conflict(f"Nothing was changed: {len(matching)} fit, and {given.expected} were expected.")
    async with app.db.transaction() as tx:
        await call.audit(tx, action, kind, id_, None, msgspec.to_builtins(given) | filters | {"count": len(matching)})
    replayed, now_ms = 0, app.clock_ms()
    for provider_type in sorted({its_type for _, its_type in matching}):
        ids = [delivery_id for delivery_id, its_type in matching if its_type == provider_type]
        expires_ms = now_ms + longest_age_s(provider_type) * 1000
        for start in range(0, len(ids), REPLAYED_AT_ONCE):
            async with app.db.transaction() as tx:
                some = ids[start : start + REPLAYED_AT_ONCE]
                replayed += len(await log.replay(tx, call.tenant_id, some, now_ms, expires_ms))
            app.deliver.wake()
    return reply(Replayed(len(matching), replayed, dry_run=False), 202)


ROUTES = (
    Route(
        method="GET",
        path="/v1/deliveries",
        handler=list_,
        summary="The delivery log, newest first",
        role="viewer",
        answer=DeliveryOut,
        query={name: f"Only this {name}" for name in FILTERS}
        | {
            "status": Param("Only in this state", Status),
            "since": Param("Made at this time or later", Moment, A_TIME),
            "until": Param("Made before this time", Moment, A_TIME),
        }
        | PAGE,
    ),
    Route(
        method="POST",
        path="/v1/deliveries/replay",
        handler=replay_by_filter,
        action="delivery.replay_many",
        summary="Send again all that match; dry_run says how many",
        role="developer",
        body=ReplayIn,
        problems=(409,),
        answer=Replayed,
        status=202,
        also=(200,),
    ),
    Route(
        method="GET",
        path="/v1/deliveries/{id}",
        handler=get,
        summary="One delivery with its attempts",
        role="viewer",
        answer=DeliveryWithAttempts,
    ),
    Route(
        method="POST",
        path="/v1/deliveries/{id}/replay",
        handler=replay,
        action="delivery.replay",
        summary="Send one again: same id, same bytes",
        role="developer",
        answer=DeliveryOut,
        status=202,
        problems=(409,),
    ),
    Route(
        method="POST",
        path="/v1/deliveries/{id}/cancel",
        handler=cancel,
        action="delivery.cancel",
        summary="Do not send it",
        role="developer",
        answer=DeliveryOut,
        problems=(409,),
    ),
)
