"""The native event: what `POST /v1/events` takes, one at a time or as `{"events": […]}`.

This is the hot path: the body is decoded once, straight into checked fields.
"""

from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from tocsin.model.errors import Invalid
from tocsin.model.event import Severity
from tocsin.sources.draft import (
    EXPECTED,
    MAX_EVENT_BYTES,
    MAX_EVENTS,
    Actions,
    Draft,
    Id,
    Labels,
    Links,
    Name,
    Text,
    Time,
    Title,
    TypeName,
    actions_of,
    checked_names,
    checked_size,
    checked_urls,
    explained,
    has_control,
    hostile_values,
    is_harmless,
    severity_of,
    time_ms_of,
)
from tocsin.sources.kinds import kind_of


class NativeEvent(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """As the contract has it. `null` says the same as leaving a field out: senders write both."""

    type: TypeName
    id: Id | None = None
    source: Name | None = None
    pipeline: Name | None = None
    run_id: Name | None = None
    stage: Name | None = None
    time: Time | None = None
    severity: Severity | None = None
    title: Title | None = None
    message: Text | None = None
    labels: Labels | None = None
    data: dict[str, Any] | None = None
    links: Links | None = None
    actions: Actions | None = None


class NativeBody(NativeEvent, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """One event, or `events` and nothing else: both in one shape, so that one decoding does."""

    type: TypeName = ""
    events: list[NativeEvent] | UnsetType = UNSET


FIELDS = NativeEvent.__struct_fields__

_body = msgspec.json.Decoder(NativeBody)
_raw_events = msgspec.json.Decoder(dict[str, list[msgspec.Raw]])


def decode_native(body: bytes) -> list[Draft]:
    """The events of a body, in order.

    Raises:
        Invalid: names the field (such as `events[3].severity`), what was found and what was expected. 413 for an event
            of more than MAX_EVENT_BYTES. One bad event refuses the whole body, so that nothing is half accepted.
    """
    try:
        decoded = _body.decode(body)
    except (ValueError, RecursionError) as error:
        raise explained(error, body, (*FIELDS, "events")) from None
    nul = b"\\u0000" in body  # or an escaped backslash before "u0000": draft_of looks
    events = decoded.events
    if events is UNSET:
        if not decoded.type:
            raise Invalid("type", "nothing", EXPECTED["type"])
        checked_size(len(body))
        return [draft_of(decoded, nul)]
    if decoded != NativeBody(events=events):
        raise Invalid("events", "a list beside the fields of one event", "one event, or events alone")
    if len(events) > MAX_EVENTS:
        raise Invalid("events", f"{len(events)} events", EXPECTED["events"])
    if len(body) > MAX_EVENT_BYTES:
        for number, raw in enumerate(_raw_events.decode(body)["events"]):
            checked_size(memoryview(raw).nbytes, f"events[{number}]")
    drafts: list[Draft] = []
    try:
        for event in events:
            drafts.append(draft_of(event, nul))  # the length says which one was refused
    except Invalid as error:
        at = f"events[{len(drafts)}]"
        field = f"{at}.{error.field}" if error.field else at
        raise Invalid(field, error.found, error.expected) from None
    return drafts


def draft_of(event: NativeEvent, nul: bool) -> Draft:
    """One event, with what its types cannot say checked. `nul` is whether the body may have a U+0000 in it."""
    data = event.data or {}
    if not is_harmless(data, nul):
        hostile_values(msgspec.to_builtins(event, builtin_types=()))
    source = event.source or "http"
    pipeline, run_id, stage = event.pipeline or "", event.run_id or "", event.stage or ""
    if has_control(f"{event.id}{source}{pipeline}{run_id}{stage}"):
        names = {"id": event.id or "", "source": source, "pipeline": pipeline, "run_id": run_id, "stage": stage}
        checked_names(names)
    links, actions = event.links or {}, event.actions or ()
    if links or actions:
        checked_urls(links, actions)
    kind = kind_of(event.type)
    return Draft(
        id=event.id,
        type=event.type,
        kind=kind,
        source=source,
        pipeline=pipeline,
        run_id=run_id,
        stage=stage,
        time_ms=None if event.time is None else time_ms_of(event.time),
        severity=severity_of(kind, event.severity),
        title=event.title or "",
        message=event.message or "",
        labels=event.labels or {},
        data=data,
        links=links,
        actions=actions_of(actions) if actions else (),
    )
