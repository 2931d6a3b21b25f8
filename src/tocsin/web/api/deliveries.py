"""Deliveries: the log, dead letters, replay."""

import datetime as dt
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace
from starlette.responses import Response

from tocsin.app import App
from tocsin.compose.message import compose
from tocsin.model.delivery import WAITING, Status
from tocsin.model.errors import Conflict, Forbidden, Invalid, NotFound
from tocsin.providers import PROVIDERS
from tocsin.store import log, rows
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
    moment_ms,
    no_nul,
    page,
    page_limit,
    reply,
    rfc3339,
)

FILTERS = ("webhook_id", "event_id", "rule_id", "event_type", "provider_type", "folded_into")
Code = Annotated[str, Meta(pattern="^([1-5][0-9]{2}|[1-5]xx|none)$")]
A_CODE = "a status such as 404, a class such as 5xx, or none"
GROUPS = ("failed", "waiting")
Asked = Literal[Status, "failed", "waiting"]
Text = Annotated[str, Meta(max_length=200)]
REPLAYABLE = ("dead", "expired", "cancelled", "suppressed", "delivered")
MOST_REPLAYED = 10_000
MOST_LOOKED_AT = 10_000
"""Deliveries that a page looks through for what no index leads to: rare ones are found page by page, each as quick."""

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


class Chosen(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which deliveries, the newest 10,000 of them: all that are given have to fit, and at least one must be. `pipeline`
    and `reason` may end with `*`: all that begin so. `code`: of the last answer, such as 404, 5xx, or none. `text`: in
    the event's title, type, pipeline or run. `since` and `until`: made in this time. `dry_run` says the count and
    changes nothing; where `expected` is given and is not the count, neither is anything changed."""

    ids: Annotated[tuple[str, ...], Meta(min_length=1, max_length=1000)] | UnsetType = UNSET
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
    dry_run: bool = False
    expected: Annotated[int, Meta(ge=0)] | None = None


class ReplayIn(Chosen, frozen=True, forbid_unknown_fields=True, kw_only=True):
    status: tuple[Literal["dead", "expired", "cancelled", "suppressed", "delivered"], ...] = ("dead", "expired")


class DiscardIn(Chosen, frozen=True, forbid_unknown_fields=True, kw_only=True):
    status: tuple[Literal["dead", "expired"], ...] = ("dead", "expired")


class Replayed(Struct, frozen=True):
    """`count`: so many match; `replayed`: so many of them are sent again, none in a dry run."""

    count: int
    replayed: int
    dry_run: bool


class Discarded(Struct, frozen=True):
    """`count`: so many match; `discarded`: so many of them are cancelled now, none in a dry run."""

    count: int
    discarded: int
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


class DeliveryRow(DeliveryOut, frozen=True):
    """A delivery with what it is about. `title`: of the message, as far as the event alone says. `duration_ms`: how
    long the last attempt took."""

    title: str
    pipeline: str
    run_id: str
    duration_ms: int | None


class DeliveryWithAttempts(DeliveryRow, frozen=True):
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


async def rows_of(app: App, tenant_id: str, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The fields of each, with those of DeliveryRow."""
    uids = {one["event_uid"] for one in found}
    asked = {"uids": rows.text(list(uids))}
    events = await log.list_events(app.db, tenant_id, before=LAST, limit=len(uids), filters=asked) if uids else []
    titles = {event.uid: compose(event, None, only_headline=True).title for event in events}
    return [
        fields(one)
        | {name: one[name] for name in ("pipeline", "run_id", "duration_ms")}
        | {"title": titles.get(one["event_uid"], one["event_type"])}
        for one in found
    ]


async def shown_with_attempts(app: App, tenant_id: str, found: dict[str, Any]) -> DeliveryWithAttempts:
    attempts = await log.list_attempts(app.db, tenant_id, found["id"])
    (whole,) = await rows_of(app, tenant_id, [found])
    return DeliveryWithAttempts(
        **whole,
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
    items, floor = await some(call, filters_in_query(call), cursor_of(call, LAST), limit + 1)
    return reply(page(items, limit, lambda delivery: str(delivery.id), floor))


def filters_in_query(call: Call) -> dict[str, Any]:
    """As the query has them. Raises Forbidden."""
    filters = parts_of(call.by, filters_of(call, (*FILTERS, "status", "pipeline", "reason", "code", "text")))
    filters |= {name: moment_ms(text) for name, text in filters_of(call, ("since", "until")).items()}
    return filters | seen_by(call.by)


async def some(call: Call, filters: dict[str, Any], before: str, many: int) -> tuple[list[DeliveryRow], str]:
    """So many before this id, and how far back was looked, where that is not to the end."""
    db, tenant_id = call.app.db, call.tenant_id
    floor = await log.delivery_floor(db, tenant_id, before, MOST_LOOKED_AT, filters)
    asked = filters | ({"floor": floor} if floor else {})
    found = await log.list_deliveries(db, tenant_id, before=before, limit=many, filters=asked)
    items = [for_reader(call.by, DeliveryRow(**row)) for row in await rows_of(call.app, tenant_id, found)]
    return items, floor


def parts_of(by: Principal, given: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked for, as the query has it. Raises Forbidden where the reason would be told by asking for it."""
    found = dict(given)
    if found.get("status") in GROUPS:
        found[found.pop("status")] = True
    if "code" in found:
        code = found.pop("code")
        first = int(code.replace("x", "0")) if code != "none" else 0
        codes = {"code_from": first, "code_until": first + (100 if "x" in code else 1)}
        found |= codes if first else {"no_code": True}
    if "text" in found:
        found["text"] = found["text"].lower()
    if "reason" in found and not sees_words(by):
        raise Forbidden("Reasons have words of receivers in them: they are for developers.")
    for name in ("pipeline", "reason"):
        if found.get(name, "").endswith("*"):
            found[f"{name}_begins"] = found.pop(name)[:-1]
    return found


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
    return await replay_matching(call, given, filters_in(call, given), "delivery.replay_many", "delivery", "")


def filters_in(call: Call, given: Chosen) -> dict[str, Any]:
    """Raises Invalid where there is none."""
    names = ("webhook_id", "rule_id", "event_type", "provider_type", "pipeline", "reason", "code", "text")
    found = {name: getattr(given, name) for name in names if getattr(given, name) is not UNSET}
    for name, value in found.items():
        no_nul(name, value)
    ids = {"ids": rows.text([no_nul("ids", id_) for id_ in given.ids])} if isinstance(given.ids, tuple) else {}
    if not found and not ids and given.since is UNSET:
        raise Invalid("", "no filter", f"since, ids, or one of {', '.join(names)}")
    return parts_of(call.by, found) | ids


async def matching(
    call: Call, given: ReplayIn | DiscardIn | RecoverIn, filters: dict[str, Any]
) -> list[tuple[str, str]]:
    """The ids, with their provider types, of all that match and are the caller's, looked up a page at a time. Raises
    Conflict where their number is another than the caller expects."""
    if isinstance(given.since, dt.datetime):
        filters["since"] = int(given.since.timestamp() * 1000)
    if isinstance(given.until, dt.datetime):
        filters["until"] = int(given.until.timestamp() * 1000)
    theirs = owned_by(call.by)
    found: list[tuple[str, str]] = []
    for status in dict.fromkeys(given.status):
        before = LAST
        while len(found) < MOST_REPLAYED:
            some = await log.list_deliveries(
                call.app.db, call.tenant_id, before=before, limit=1000, filters=filters | theirs | {"status": status}
            )
            found += [(row["id"], row["provider_type"]) for row in some]
            if len(some) < 1000:
                break
            before = some[-1]["id"]
    found = found[:MOST_REPLAYED]
    if not given.dry_run and given.expected not in (None, len(found)):
        raise Conflict(f"Nothing was changed: {len(found)} fit, and {given.expected} were expected.")
    return found


async def replay_matching(
    call: Call, given: ReplayIn | RecoverIn, filters: dict[str, Any], action: str, kind: str, id_: str
) -> Response:
    """All that match; with `dry_run` only their number. One entry in the audit trail, written before the first is
    sent."""
    app = call.app
    chosen = await matching(call, given, filters)
    if given.dry_run:
        return reply(Replayed(len(chosen), 0, dry_run=True))
    async with app.db.transaction() as tx:
        await call.audit(tx, action, kind, id_, None, msgspec.to_builtins(given) | filters | {"count": len(chosen)})
    replayed, now_ms = 0, app.clock_ms()
    for provider_type in sorted({its_type for _, its_type in chosen}):
        ids = [delivery_id for delivery_id, its_type in chosen if its_type == provider_type]
        expires_ms = now_ms + longest_age_s(provider_type) * 1000
        for start in range(0, len(ids), REPLAYED_AT_ONCE):
            async with app.db.transaction() as tx:
                some = ids[start : start + REPLAYED_AT_ONCE]
                replayed += len(await log.replay(tx, call.tenant_id, some, now_ms, expires_ms))
            app.deliver.wake()
    return reply(Replayed(len(chosen), replayed, dry_run=False), 202)


async def discard(call: Call) -> Response:
    """They become cancelled, and can be replayed as such."""
    given, app = await call.body(DiscardIn), call.app
    filters = filters_in(call, given)
    chosen = await matching(call, given, filters)
    if given.dry_run:
        return reply(Discarded(len(chosen), 0, dry_run=True))
    async with app.db.transaction() as tx:
        entry = msgspec.to_builtins(given) | {"count": len(chosen)}
        await call.audit(tx, "delivery.discard_many", "delivery", "", None, entry)
    discarded, reason = 0, f"discarded by {call.by.who}"
    for start in range(0, len(chosen), REPLAYED_AT_ONCE):
        some = [id_ for id_, _ in chosen[start : start + REPLAYED_AT_ONCE]]
        async with app.db.transaction() as tx:
            discarded += await log.discard(tx, call.tenant_id, some, reason, app.clock_ms())
    return reply(Discarded(len(chosen), discarded, dry_run=False))


QUERY: dict[str, str | Param] = {
    **{name: f"Only this {name}" for name in FILTERS},
    "status": Param("Only in this state; failed: dead or expired; waiting: yet to be sent", Asked),
    "pipeline": "Only this pipeline; with a * at its end all that begin so",
    "reason": "Only with this reason; with a * at its end all that begin so",
    "code": Param("Only with this status of the last answer: 404, 5xx, or none", Code, A_CODE),
    "text": Param("Only with this in the event's title, type, pipeline or run", Text, "200 characters at most"),
    "since": Param("Made at this time or later", Moment, A_TIME),
    "until": Param("Made before this time", Moment, A_TIME),
}


ROUTES = (
    Route(
        method="GET",
        path="/v1/deliveries",
        handler=list_,
        summary="The delivery log, newest first",
        role="viewer",
        answer=DeliveryRow,
        query=QUERY | PAGE,
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
        method="POST",
        path="/v1/deliveries/discard",
        handler=discard,
        name="discard_deliveries",
        action="delivery.discard_many",
        summary="Cancel all dead letters that match; dry_run says how many",
        role="developer",
        body=DiscardIn,
        answer=Discarded,
        problems=(409,),
        example={"webhook_id": "whk_0198c5f2", "dry_run": True},
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
