"""Events: in through the front door, and what was decided about them."""

import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Literal

import msgspec
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

from tocsin.app import App
from tocsin.model.errors import Forbidden, Invalid, NotFound, Refusal
from tocsin.model.event import Event, Severity
from tocsin.rules.explain import Considered, Told, explain
from tocsin.rules.index import CompiledRule, compile_rule, rule_of_endpoint
from tocsin.rules.outcome import Outcome, of_deliveries, without_deliveries
from tocsin.rules.own import OWN
from tocsin.rules.plan import Decision
from tocsin.sources.cloudevents import BATCH, decode_cloudevents, is_cloudevents, media_type
from tocsin.sources.native import NativeBody, decode_native
from tocsin.stages.intake import Receipt, Trace
from tocsin.store import config, log
from tocsin.store import why as store_why
from tocsin.web.auth import Tokens
from tocsin.web.denials import Denials
from tocsin.web.headers import Header
from tocsin.web.once import checked_key
from tocsin.web.ownership import hidden_endpoints, is_hidden_rule
from tocsin.web.problems import answer_of, encoded
from tocsin.web.replies import fates_for
from tocsin.web.routes import (
    A_TIME,
    LAST,
    PAGE,
    Call,
    Moment,
    Param,
    Route,
    check_json,
    cursor_of,
    filters_of,
    json_body,
    moment_ms,
    page,
    page_limit,
    reply,
    rfc3339,
    too_large,
    unpacked,
)
from tocsin.web.sessions import Sessions

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

IS_BATCH = re.compile(rb'^\s*\{\s*"events"\s*:')
JSON_HEADERS = [(b"content-type", b"application/json")]
MOST_RULES = 100_000


class Accepted(msgspec.Struct, frozen=True):
    """The answer to a batch: how many are new, how many were known, and all ids in order."""

    accepted: int
    duplicates: int
    ids: tuple[str, ...]


class ActionOut(msgspec.Struct, frozen=True):
    """A button."""

    label: str
    url: str
    style: str


class EventOut(msgspec.Struct, frozen=True):
    """An event as it came in. `uid` is Tocsin's own id, `id` the source's; `kind` is what the type means."""

    id: str
    uid: str
    type: str
    kind: str
    source: str
    severity: str
    pipeline: str
    run_id: str
    stage: str
    time: str | None
    received_at: str | None
    title: str
    message: str
    labels: dict[str, str]
    data: dict[str, Any]
    links: dict[str, str]
    actions: tuple[ActionOut, ...]


class EventListed(EventOut, frozen=True, kw_only=True):
    """`outcome`: what became of it, where the list was asked `with=outcome`."""

    outcome: Outcome | None = None


class EventWhy(msgspec.Struct, frozen=True):
    """Why somebody was told of an event, or was not. `summary` is one sentence that answers; `decisions` are the rules,
    those first that were asked when it came in. `elsewhere`: so many deliveries went to webhooks of others."""

    event_id: str
    event_type: str
    decided_at: str | None
    summary: str
    decisions: tuple[Considered, ...]
    omitted_decisions: int
    deliveries: tuple[Told, ...]
    elsewhere: int


class EventsDoor:
    """`POST /v1/events`, without a framework in between: the one route where microseconds count."""

    def __init__(
        self, app: App, tokens: Tokens, sessions: Sessions, headers: tuple[Header, ...], denials: Denials
    ) -> None:
        self.app = app
        self.tokens = tokens
        self.sessions = sessions
        self.headers = headers
        self.denials = denials

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            status, body, headers = 202, await self.accept(scope, receive), JSON_HEADERS
        except Refusal as refusal:
            self.app.intake.measured.refused[word_of(refusal)] += 1
            status, body, headers = answer_of(refusal)
        await send(
            {"type": "http.response.start", "status": status, "headers": [*headers, *self.headers, length(body)]}
        )
        await send({"type": "http.response.body", "body": body})

    async def accept(self, scope: Scope, receive: Receive) -> bytes:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        if b"authorization" in headers:
            principal = await self.tokens.principal(headers[b"authorization"])
        else:
            principal = await self.sessions.principal("POST", Headers(scope=scope))
        meter, now_ms = self.app.meter, self.app.clock_ms()
        tenant_id, token_id = principal.tenant_id, principal.token_id
        gate = meter.known(tenant_id, now_ms) or await meter.gate(tenant_id, now_ms)
        gate.request(token_id, now_ms)
        gate.check_events(token_id, now_ms)
        try:
            principal.require("developer", "ingest")
        except Forbidden as refusal:
            await self.denials.write(Request(scope), ROUTES[0], principal, refusal)
            raise
        if scope["query_string"]:
            raise Invalid(scope["query_string"][:60].decode("latin-1"), "query parameters", "none: this route has none")
        body = await whole_body(headers, receive, gate.limits.body_bytes)
        if b"content-encoding" in headers:
            body = unpacked(body, headers[b"content-encoding"].decode("latin-1"), gate.limits.body_bytes)
        key = checked_key(headers.get(b"idempotency-key", b"").decode("latin-1"))
        if key:
            key = f"{principal.token_id or principal.user_id}/{key}"
        content_type = headers.get(b"content-type", b"").decode("latin-1")
        if b"ce-specversion" in headers or is_cloudevents({}, content_type):
            texts = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers.items()}
            drafts = decode_cloudevents(texts, content_type, body)
            is_batch = media_type(content_type) == BATCH
        else:
            check_json(content_type, "")
            drafts = decode_native(body)
            is_batch = IS_BATCH.match(body) is not None or len(drafts) != 1
        for number, draft in enumerate(drafts):
            if draft.source == OWN:
                field = f"events[{number}].source" if is_batch else "source"
                raise Invalid(field, repr(OWN), "another name: what Tocsin itself finds out has this one")
        gate.events(token_id, now_ms, len(drafts))
        receipts = await self.app.intake.accept(tenant_id, drafts, size=len(body), key=key, body=body)
        return encoded(batch_answer(receipts) if is_batch else receipts[0])


def word_of(refusal: Refusal) -> str:
    """What was wrong, for a label: `invalid`, `unauthorised`, `busy` … Two are told by their status."""
    by_status = {413: "too_large", 429: "rate_limited"}
    return by_status.get(refusal.status, type(refusal).__name__.lower())


def batch_answer(receipts: list[Receipt]) -> Accepted:
    duplicates = sum(receipt.duplicate for receipt in receipts)
    return Accepted(len(receipts) - duplicates, duplicates, tuple(receipt.id for receipt in receipts))


def length(body: bytes) -> tuple[bytes, bytes]:
    return b"content-length", str(len(body)).encode()


async def whole_body(headers: Mapping[bytes, bytes], receive: Receive, most: int) -> bytes:
    """Raises Invalid (413) before reading what says it is too long, and while reading what does not say."""
    said = headers.get(b"content-length", b"0")
    if said.isdigit() and int(said) > most:
        raise too_large(most)
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        return body
    parts, size = [body], len(body)
    while message.get("more_body"):
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Invalid("", "half a body", "a whole one")
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > most:
            raise too_large(most)
    return b"".join(parts)


def shown(event: Event) -> EventOut:
    return EventOut(
        id=event.id,
        uid=event.uid,
        type=event.type,
        kind=event.kind,
        source=event.source,
        severity=event.severity,
        pipeline=event.pipeline,
        run_id=event.run_id,
        stage=event.stage,
        time=rfc3339(event.time_ms),
        received_at=rfc3339(event.received_ms),
        title=event.title,
        message=event.message,
        labels=event.labels,
        data=event.data,
        links=event.links,
        actions=tuple(ActionOut(action.label, action.url, action.style) for action in event.actions),
    )


FILTERS = ("type", "kind", "pipeline", "run_id", "source", "severity")
MOST_LOOKED_AT = 20_000
"""Events that a page looks through for what its filters ask: rare things are found page by page, each as quick."""


async def list_events(call: Call) -> Response:
    limit = page_limit(call)
    found, floor = await some(call, filters_in_query(call), cursor_of(call, LAST), limit + 1)
    outcomes: dict[str, Outcome] = {}
    if call.request.query_params.get("with"):
        outcomes = await outcomes_of(call, [event.uid for event in found[:limit]])
    items = [EventListed(**msgspec.structs.asdict(event), outcome=outcomes.get(event.uid)) for event in found]
    return reply(page(items, limit, lambda event: str(event.uid), floor))


def filters_in_query(call: Call) -> dict[str, Any]:
    times = {name: moment_ms(text) for name, text in filters_of(call, ("since", "until")).items()}
    return filters_of(call, FILTERS) | times


async def some(call: Call, filters: dict[str, Any], before: str, many: int) -> tuple[list[EventOut], str]:
    """So many before this id, and how far back was looked, where that is not to the end."""
    db, tenant_id = call.app.db, call.tenant_id
    floor = await log.event_floor(db, tenant_id, before, MOST_LOOKED_AT, filters)
    asked = filters | ({"floor": floor} if floor else {})
    found = await log.list_events(db, tenant_id, before=before, limit=many, filters=asked)
    return [shown(event) for event in found], floor


async def outcomes_of(call: Call, uids: list[str]) -> dict[str, Outcome]:
    """By uid, what became of these events, as far as the caller sees it."""
    db, tenant_id = call.app.db, call.tenant_id
    seen_by = None if call.by.sees_all() else call.by.user_id
    bundles = await log.outcomes(db, tenant_id, uids, seen_by)
    found = {uid: of_deliveries(its) for uid, its in bundles.items()}
    quiet = [uid for uid in uids if uid not in found]
    hidden = await hidden_endpoints(call) if quiet else frozenset()
    for uid, stored in (await log.traces(db, tenant_id, quiet)).items():
        try:
            trace = msgspec.json.decode(stored, type=Trace)
        except msgspec.MsgspecError:  # not of this program: the event is worth showing all the same
            continue
        asked = [one for one in trace.decisions if not is_hidden_rule(call, one.rule_id, hidden)]
        found[uid] = without_deliveries(asked, trace.rules, trace.off)
    return found


async def get_event(call: Call) -> Response:
    event, _ = await find(call)
    return reply(shown(event))


async def find(call: Call) -> tuple[Event, str]:
    source = call.request.query_params.get("source")
    found = await log.find_event(call.app.db, call.tenant_id, call.path("id"), source)
    if found is None:
        raise NotFound("No such event.")
    return found


async def why(call: Call) -> Response:
    """What was decided when the event came in, and what became of it. Rules that could not want it are asked again."""
    event, stored = await find(call)
    trace = msgspec.json.decode(stored, type=Trace)
    app = call.app
    hidden = await hidden_endpoints(call)
    others, broken = await not_asked(call, {decision.rule_id for decision in trace.decisions}, hidden)
    fates = fates_for(call.by, await store_why.fates_of_event(app.db, call.tenant_id, event.uid))
    decisions = [one for one in (*trace.decisions, *broken) if not is_hidden_rule(call, one.rule_id, hidden)]
    seen = [fate for fate in fates if fate.endpoint_id not in hidden]
    elsewhere = len(fates) - len(seen)
    found = explain(
        event,
        decisions,
        trace.omitted,
        seen,
        app.clock_ms(),
        others=others,
        elsewhere=elsewhere,
        off=trace.off,
    )
    return reply(EventWhy(event.id, event.type, rfc3339(trace.at_ms), **msgspec.structs.asdict(found)))


async def not_asked(call: Call, decided: set[str], hidden: frozenset[str]) -> tuple[list[CompiledRule], list[Decision]]:
    """The rules of now that are not among the decided ones; and what is to be said of those that do not hold."""
    db, tenant_id = call.app.db, call.tenant_id
    rules = await config.list_rules(db, tenant_id, after="", limit=MOST_RULES)
    rules += [rule_of_endpoint(tenant_id, *asks) for asks in await log.enabled_events(db, tenant_id)]
    others, broken = [], []
    for rule in rules:
        if rule.id not in decided and not is_hidden_rule(call, rule.id, hidden):
            try:
                others.append(compile_rule(rule))
            except Invalid as error:  # saved by an older or another program
                broken.append(Decision(rule.id, rule.name, "not_matched", f"the rule does not hold: {error.detail}"))
    return others, broken


async def send_from_inside(call: Call) -> Response:
    """What a page sends in somebody's name. What comes over the wire is taken in by EventsDoor, before this table."""
    body = await json_body(call.request, call.most_bytes)
    drafts = decode_native(body)
    if any(draft.source == OWN for draft in drafts):
        raise Invalid("source", repr(OWN), "another name: what Tocsin itself finds out has this one")
    gate = await call.app.meter.gate(call.tenant_id, call.app.clock_ms())
    gate.events(call.by.token_id, call.app.clock_ms(), len(drafts))
    receipts = await call.app.intake.accept(call.tenant_id, drafts, size=len(body))
    is_batch = IS_BATCH.match(body) is not None or len(drafts) != 1
    return reply(batch_answer(receipts) if is_batch else receipts[0], 202)


QUERY: dict[str, str | Param] = {
    **{name: f"Only this {name}" for name in FILTERS},
    "severity": Param("Only this severity", Severity),
    "since": Param("Taken in at this time or later", Moment, A_TIME),
    "until": Param("Taken in before this time", Moment, A_TIME),
}
SOURCE = {"source": "Of this source, where several use the same id"}

ROUTES = (
    Route(
        method="POST",
        path="/v1/events",
        handler=send_from_inside,
        summary="Take in one event, a batch, or CloudEvents; 202 once they are durable",
        role="developer",
        scope="ingest",
        body=NativeBody,
        answer=(Receipt, Accepted),
        status=202,
        problems=(409,),
        name="send_events",
        idempotent=True,
        example={
            "type": "run.failed",
            "pipeline": "etl/orders",
            "run_id": "2026-11-21T02:00",
            "labels": {"env": "prod"},
        },
    ),
    Route(
        method="GET",
        path="/v1/events",
        handler=list_events,
        summary="Events, newest first",
        role="viewer",
        answer=EventListed,
        query=QUERY | {"with": Param("`outcome`: what became of each, too", Literal["outcome"])} | PAGE,
    ),
    Route(
        method="GET",
        path="/v1/events/{id}",
        handler=get_event,
        summary="One event",
        role="viewer",
        answer=EventOut,
        query=SOURCE,
    ),
    Route(
        method="GET",
        path="/v1/events/{id}/why",
        handler=why,
        summary="What was decided about an event, and why",
        role="viewer",
        answer=EventWhy,
        query=SOURCE,
    ),
)
