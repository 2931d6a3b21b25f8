"""Silences: nothing is sent of what they match, for a while; what they hid is told when they end."""

import datetime as dt
from typing import Annotated, Any, ClassVar, Literal

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace
from starlette.responses import Response

from tocsin.model.errors import Conflict, Invalid, NotFound
from tocsin.model.noise import Hours
from tocsin.model.world import Matcher, Silence
from tocsin.rules.noise_check import check_hours
from tocsin.rules.pattern import check_pattern
from tocsin.rules.silencing import is_of_event, silenced
from tocsin.store import silences, stats
from tocsin.store.database import Reader
from tocsin.store.silences import Kept
from tocsin.web.ownership import hidden_endpoints
from tocsin.web.routes import (
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
    tagged,
)

LONGEST_MS = 366 * 86_400_000
DAY_MS = 86_400_000
MOST_LOOKED_AT = 2000

Matchers = Annotated[tuple[Matcher, ...], Meta(min_length=1, max_length=20)]
Comes = Annotated[tuple[Hours, ...], Meta(max_length=20)]
Words = Annotated[str, Meta(max_length=500)]
Comment = Annotated[str, Meta(max_length=4000)]
Seconds = Annotated[int, Meta(ge=1, le=366 * 86_400)]


class SilenceIn(Struct, frozen=True, forbid_unknown_fields=True):
    """All matchers must fit. It lasts from `starts_at` (now) to `ends_at`, or for `duration_s`; with `hours`, in those
    hours alone, and without an end if none is given."""

    matchers: Matchers
    starts_at: Moment | None = None
    ends_at: Moment | None = None
    duration_s: Seconds | None = None
    hours: Comes = ()
    reason: Words = ""
    comment: Comment = ""


class SilencePatch(Struct, frozen=True, forbid_unknown_fields=True):
    """What to change; what is left out stays. `duration_s` counts from now. `ends_at` null has no end."""

    matchers: Matchers | UnsetType = UNSET
    ends_at: Moment | UnsetType | None = UNSET
    duration_s: Seconds | UnsetType = UNSET
    hours: Comes | UnsetType = UNSET
    reason: Words | UnsetType = UNSET
    comment: Comment | UnsetType = UNSET


class SilencePreviewIn(Struct, frozen=True, forbid_unknown_fields=True):
    """A silence that is being thought about."""

    matchers: Matchers
    hours: Comes = ()


class SilenceOut(Struct, frozen=True):
    """`status` is pending, active or ended; one that comes back is active while its hours are not on, too. `hidden`: so
    many messages it has kept back."""

    id: str
    matchers: tuple[Matcher, ...]
    starts_at: str | None
    ends_at: str | None
    hours: tuple[Hours, ...]
    reason: str
    comment: str
    status: str
    hidden: int
    created_by: str
    created_at: str | None

    noted: ClassVar = ("status", "hidden")


class SilencePreview(Struct, frozen=True):
    """Of the messages of the last day, the newest 2,000 at the most: how many it would have kept back, from which
    webhooks, and the newest of them."""

    since: str | None
    messages: int
    hidden: int
    webhooks: dict[str, int]
    items: tuple[dict[str, Any], ...]


def status_of(silence: Silence, now_ms: int) -> str:
    if silence.ends_ms is not None and silence.ends_ms <= now_ms:
        return "ended"
    return "pending" if now_ms < silence.starts_ms else "active"


def shown(kept: Kept, now_ms: int) -> SilenceOut:
    silence = kept.silence
    return SilenceOut(
        id=silence.id,
        matchers=silence.matchers,
        starts_at=rfc3339(silence.starts_ms),
        ends_at=rfc3339(silence.ends_ms),
        hours=silence.hours,
        reason=silence.reason,
        comment=kept.comment,
        status=status_of(silence, now_ms),
        hidden=kept.hidden,
        created_by=silence.created_by,
        created_at=rfc3339(kept.created_ms),
    )


def check_matchers(matchers: tuple[Matcher, ...]) -> None:
    for number, matcher in enumerate(matchers):
        field = f"matchers[{number}]"
        known = matcher.field in ("rule", "endpoint") or (is_of_event(matcher.field) and matcher.field != "labels.")
        if not known or len(matcher.field) > 200 or "\x00" in matcher.field:
            expected = "pipeline, type, kind, severity, source, stage, rule, endpoint or labels.NAME"
            raise Invalid(f"{field}.field", repr(matcher.field[:60]), expected)
        check_pattern(f"{field}.value", matcher.value)


def check_all_hours(hours: tuple[Hours, ...]) -> None:
    for number, one in enumerate(hours):
        check_hours(f"hours[{number}]", one)


def span(
    now_ms: int, starts_ms: int, ends_at: dt.datetime | None, duration_s: int | None, *, from_ms: int
) -> int | None:
    """When it ends. `from_ms` is what a duration counts from."""
    if ends_at is not None and duration_s is not None:
        raise Invalid("duration_s", "ends_at as well", "one of the two")
    if duration_s is not None:
        return from_ms + duration_s * 1000
    if ends_at is None:
        return None
    ends_ms = int(ends_at.timestamp() * 1000)
    if ends_ms <= max(now_ms, starts_ms):
        raise Invalid("ends_at", rfc3339(ends_ms) or "", "a time to come, after starts_at")
    if ends_ms > max(now_ms, starts_ms) + LONGEST_MS:
        raise Invalid("ends_at", rfc3339(ends_ms) or "", "at most 366 days later")
    return ends_ms


def check_end(ends_ms: int | None, hours: tuple[Hours, ...]) -> None:
    if ends_ms is None and not hours:
        raise Invalid("ends_at", "nothing", "an end, or duration_s: only a silence with hours may go on for ever")


def start_of(given: SilenceIn, now_ms: int) -> int:
    if given.starts_at is None:
        return now_ms
    starts_ms = int(given.starts_at.timestamp() * 1000)
    if abs(starts_ms - now_ms) > LONGEST_MS:
        raise Invalid("starts_at", rfc3339(starts_ms) or "", "a time within 366 days")
    return starts_ms


async def create(call: Call) -> Response:
    given = await call.body(SilenceIn)
    now_ms = call.app.clock_ms()
    starts_ms = start_of(given, now_ms)
    ends_ms = span(now_ms, starts_ms, given.ends_at, given.duration_s, from_ms=starts_ms)
    if ends_ms is not None and ends_ms <= now_ms:
        raise Invalid("duration_s", f"{given.duration_s}", "one that ends in the future")
    check_matchers(given.matchers)
    check_all_hours(given.hours)
    check_end(ends_ms, given.hours)
    silence = Silence(
        id=call.app.new_id("sil"),
        matchers=given.matchers,
        starts_ms=starts_ms,
        ends_ms=ends_ms,
        hours=given.hours,
        reason=no_nul("reason", given.reason),
        created_by=call.by.who,
    )
    kept = Kept(silence, no_nul("comment", given.comment), now_ms)
    async with call.app.db.transaction() as tx:
        await call.check_room(tx, "silences")
        await silences.add(tx, call.tenant_id, kept)
        await call.audit(tx, "silence.create", "silence", silence.id, None, shown(kept, now_ms))
        return await call.made(tx, shown(kept, now_ms))


async def find(call: Call, tx: Reader | None = None) -> Kept:
    filters = {"id": no_nul("id", call.path("id"))}
    found = await silences.list_(tx or call.app.db, call.tenant_id, before=LAST, limit=1, filters=filters)
    if not found:
        raise NotFound("No such silence.")
    return found[0]


async def get(call: Call) -> Response:
    return tagged(shown(await find(call), call.app.clock_ms()))


async def list_(call: Call) -> Response:
    limit = page_limit(call)
    status = filters_of(call, ("status",)).get("status", "")
    now_ms = call.app.clock_ms()
    filters: dict[str, Any] = {status: now_ms} if status else {}
    before = cursor_of(call, LAST)
    found = await silences.list_(call.app.db, call.tenant_id, before=before, limit=limit + 1, filters=filters)
    return reply(page([shown(kept, now_ms) for kept in found], limit, lambda silence: str(silence.id)))


async def change(call: Call) -> Response:
    given, now_ms = await call.body(SilencePatch), call.app.clock_ms()
    async with call.changing() as tx:
        known = await find(call, tx)
        before = shown(known, now_ms)
        call.check_unchanged(before)
        after = changed(call, known, given)
        if not await silences.change(tx, call.tenant_id, after, now_ms):
            raise Conflict("This silence is over; make a new one.")
        await call.audit(tx, "silence.update", "silence", before.id, before, shown(after, now_ms))
    return await get(call)


def changed(call: Call, known: Kept, given: SilencePatch) -> Kept:
    """The silence as it is to be. Raises Invalid."""
    silence, now_ms = known.silence, call.app.clock_ms()
    ends_ms = silence.ends_ms
    if given.ends_at is not UNSET or given.duration_s is not UNSET:
        ends_at = None if given.ends_at is UNSET else given.ends_at
        duration_s = None if given.duration_s is UNSET else given.duration_s
        ends_ms = span(now_ms, silence.starts_ms, ends_at, duration_s, from_ms=max(now_ms, silence.starts_ms))
    wanted = replace(
        silence,
        matchers=silence.matchers if given.matchers is UNSET else given.matchers,
        ends_ms=ends_ms,
        hours=silence.hours if given.hours is UNSET else given.hours,
        reason=silence.reason if given.reason is UNSET else no_nul("reason", given.reason),
    )
    check_matchers(wanted.matchers)
    check_all_hours(wanted.hours)
    check_end(ends_ms, wanted.hours)
    comment = known.comment if given.comment is UNSET else no_nul("comment", given.comment)
    return replace(known, silence=wanted, comment=comment)


async def delete(call: Call) -> Response:
    """Ends it now. It is kept, with what it hid; one that is over already stays as it is."""
    now_ms = call.app.clock_ms()
    async with call.changing() as tx:
        known = await find(call, tx)
        call.check_unchanged(shown(known, now_ms))
        await silences.end(tx, call.tenant_id, known.silence.id, now_ms)
        await call.audit(tx, "silence.end", "silence", known.silence.id, shown(known, now_ms), None)
    return Response(status_code=204)


async def preview(call: Call) -> Response:
    """What it would have kept back in the last day: of what was sent, by the same function that decides."""
    given = await call.body(SilencePreviewIn)
    check_matchers(given.matchers)
    check_all_hours(given.hours)
    app, tenant_id = call.app, call.tenant_id
    since_ms = app.clock_ms() - DAY_MS
    endpoints = {row[0]: row[3] for row in await app.db.read("config_endpoints", {"tenant_id": tenant_id})}
    thought = Silence(id="", matchers=given.matchers, starts_ms=0, ends_ms=None, hours=given.hours)
    others = await hidden_endpoints(call)
    sent = await silences.sent_lately(app.db, tenant_id, since_ms, MOST_LOOKED_AT)
    sent = [one for one in sent if one.endpoint_id not in others]
    rules = await stats.rule_names(app.db, tenant_id, {one.rule_id for one in sent})
    hidden = []
    for one in sent:
        endpoint = (one.endpoint_id, endpoints.get(one.endpoint_id, ""))
        rule = (one.rule_id, rules.get(one.rule_id, f"events of {endpoint[1]}"))
        if silenced((thought,), one.event, rule, endpoint, one.created_ms):
            hidden.append(one)
    webhooks: dict[str, int] = {}
    for one in hidden:
        webhooks[one.endpoint_id] = webhooks.get(one.endpoint_id, 0) + 1
    items = tuple(
        {
            "event_id": one.event.id,
            "event_type": one.event.type,
            "pipeline": one.event.pipeline,
            "webhook_id": one.endpoint_id,
            "created_at": rfc3339(one.created_ms),
        }
        for one in hidden[:20]
    )
    return reply(SilencePreview(rfc3339(since_ms), len(sent), len(hidden), webhooks, items))


ID = "/v1/silences/{id}"
ROUTES = (
    Route(
        method="POST",
        path="/v1/silences",
        handler=create,
        action="silence.create",
        summary="Keep messages back for a while; what it hid is told when it ends",
        role="developer",
        body=SilenceIn,
        answer=SilenceOut,
        status=201,
        problems=(409,),
    ),
    Route(
        method="GET",
        path="/v1/silences",
        handler=list_,
        summary="Silences, newest first",
        role="viewer",
        answer=SilenceOut,
        query={"status": Param("Open are those pending and active", Literal["open", "ended"])} | PAGE,
    ),
    Route(
        method="POST",
        path="/v1/silences/preview",
        handler=preview,
        summary="What a silence would have kept back in the last day",
        role="developer",
        scope="read",
        body=SilencePreviewIn,
        answer=SilencePreview,
    ),
    Route(method="GET", path=ID, handler=get, summary="One silence", role="viewer", answer=SilenceOut),
    Route(
        method="PATCH",
        path=ID,
        handler=change,
        action="silence.update",
        summary="Change a silence that is not over",
        role="developer",
        body=SilencePatch,
        answer=SilenceOut,
        problems=(409,),
        if_match=True,
    ),
    Route(
        method="DELETE",
        path=ID,
        handler=delete,
        action="silence.end",
        summary="End a silence now",
        role="developer",
        status=204,
        if_match=True,
    ),
)
