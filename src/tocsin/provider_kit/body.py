"""The bodies of a custom webhook: `tocsin` (the default), `simple`, `cloudevents`, `template`.

Ids and summary fields only, unless the endpoint asks for more. `data`, `labels` and `message` are what it may
ask for; a message that tells of many events has their ids in its `data` in any case. A body is never empty and never
larger than MAX_BYTES.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal
from urllib.parse import quote

import msgspec
from msgspec import UNSET, Struct, UnsetType

from tocsin.model.message import FOLDED, Message
from tocsin.provider_kit.templates import TemplateFailed, render
from tocsin.provider_kit.text import cut

Format = Literal["tocsin", "simple", "cloudevents", "template"]
Include = Literal["data", "labels", "message"]

SCHEMA = "tocsin.event/1"
"""The name and version of the `tocsin` body. Fields may be added; none is renamed or removed without a new number."""
MAX_BYTES = 256_000
"""Many receivers, gateways and queues stop at 256 KB (Amazon EventBridge and SQS among them)."""
SHOWN_AS_ACTION = ("dashboard_url", "experiment_id")
"""What the `simple` body leaves out of `data` where the link is already an action, as its document does."""

CONTENT_TYPES: dict[Format, str] = {
    "tocsin": "application/json",
    "simple": "application/json",
    "cloudevents": "application/cloudevents+json",
    "template": "application/json",
}

_encoder = msgspec.json.Encoder()
_LAST_MS = 253_402_300_799_999  # the end of the year 9999, where RFC 3339 ends


class TocsinBody(Struct, frozen=True, kw_only=True):
    """The `tocsin` body, field by field. `id` is the event's; `duration_s` is in seconds, None while nobody knows."""

    schema: str = SCHEMA
    id: str
    type: str
    kind: str
    source: str
    time: str
    severity: str
    status: str
    title: str
    summary: str
    pipeline: str
    run_id: str
    stage: str
    duration_s: float | None
    links: Mapping[str, str]
    data: Mapping[str, Any] | UnsetType = UNSET
    labels: Mapping[str, str] | UnsetType = UNSET
    message: str | UnsetType = UNSET
    note: str | UnsetType = UNSET


def body(message: Message, form: Format = "tocsin", include: tuple[Include, ...] = (), template: str = "") -> bytes:
    """The bytes to sign and send. The same input gives the same bytes."""
    whole = _body(message, form, include, template)
    if len(whole) <= MAX_BYTES:
        return whole
    return _body(_shortened(message), "tocsin" if form == "template" else form, (), "", "left out: too large to send")


def _body(message: Message, form: Format, include: tuple[Include, ...], template: str, note: str = "") -> bytes:
    if form == "simple":
        return _encoder.encode(_simple(message))
    if form == "cloudevents":
        return _encoder.encode(_cloud_event(message, include, note))
    if form == "template":
        return _from_template(message, template)
    return _encoder.encode(_tocsin(message, include, note))


def _tocsin(message: Message, include: tuple[Include, ...] = (), note: str = "") -> TocsinBody:
    return TocsinBody(
        id=message.event_id,
        type=message.event_type,
        kind=message.kind,
        source=message.source,
        time=rfc3339(message.time_ms),
        severity=message.severity,
        status=message.run_status,
        title=message.title,
        summary=message.sentence.removeprefix(message.emoji).lstrip(),
        pipeline=message.pipeline,
        run_id=message.run_id,
        stage=message.stage,
        duration_s=None if message.duration_ms is None else message.duration_ms / 1000,
        links=message.links,
        data=message.data if "data" in include or message.event_type == FOLDED else UNSET,
        labels=message.labels if "labels" in include else UNSET,
        message=message.text if "message" in include else UNSET,
        note=note or UNSET,
    )


def _simple(message: Message) -> dict[str, Any]:
    return {
        "event_type": message.event_type,
        "title": message.title,
        "body": message.text or message.cause,
        "priority": priority(message),
        "data": _unlinked(message.data),
        "actions": [{"label": one.label, "url": one.url, "style": one.style} for one in message.actions],
    }


def _unlinked(data: Mapping[str, Any]) -> Mapping[str, Any]:
    if "dashboard_url" not in data:
        return data
    return {name: value for name, value in data.items() if name not in SHOWN_AS_ACTION}


def _cloud_event(message: Message, include: tuple[Include, ...], note: str = "") -> dict[str, Any]:
    """Structured mode: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md"""
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": message.event_id,
        "source": "/tocsin/" + quote(message.source, safe=""),
        "type": message.event_type,
        "time": rfc3339(message.time_ms),
        "datacontenttype": "application/json",
        "data": _tocsin(message, include, note),
    }
    if subject := "/".join(part for part in (message.pipeline, message.run_id) if part):
        event["subject"] = subject  # an empty subject is not allowed
    return event


def _from_template(message: Message, template: str) -> bytes:
    """What the template says, if it is JSON; or else the `tocsin` body with the reason, never nothing."""
    try:
        rendered: bytes = render(template, values(message)).encode("utf-8", "replace")
        msgspec.json.decode(rendered)
    except TemplateFailed as failure:
        return _encoder.encode(_tocsin(message, note=cut(f"the template failed: {failure.reason}", 500)))
    except msgspec.DecodeError as failure:
        return _encoder.encode(_tocsin(message, note=cut(f"the template gave no valid JSON: {failure}", 500)))
    return rendered


def values(message: Message) -> dict[str, Any]:
    """What a template may name: every field of the `tocsin` body and what it can include, and the words beside it."""
    found: dict[str, Any] = msgspec.to_builtins(_tocsin(message, ("data", "labels", "message")))
    found["event_type"] = message.event_type
    found["emoji"] = message.emoji
    found["sentence"] = message.sentence
    found["cause"] = message.cause
    found["detail"] = message.detail
    found["priority"] = priority(message)
    found["facts"] = dict(message.facts)
    found["actions"] = [{"label": one.label, "url": one.url, "style": one.style} for one in message.actions]
    return found


def priority(message: Message) -> str:
    """`low`, `medium`, `high` or `critical`, as the `simple` body says it: a training that completed is `medium`."""
    if message.severity == "critical" or message.tone == "rollback":
        return "critical"
    if message.severity == "error" or message.tone == "bad":
        return "high"
    return "medium" if message.severity == "warning" or message.tone in ("warning", "good") else "low"


@lru_cache(maxsize=1024)
def rfc3339(ms: int) -> str:
    """Unix milliseconds as `2026-11-21T02:00:00.000Z`."""
    at = datetime.fromtimestamp(min(max(ms, 0), _LAST_MS) / 1000, UTC)
    return at.isoformat(timespec="milliseconds")[:-6] + "Z"


def _shortened(message: Message) -> Message:
    """A message that fits whatever it held: words cut, data and links left out, ids as they are up to 1,000."""
    return msgspec.structs.replace(
        message,
        event_id=message.event_id[:1000],
        event_type=message.event_type[:1000],
        source=message.source[:1000],
        title=cut(message.title, 500),
        sentence=cut(message.sentence, 2000),
        cause=cut(message.cause, 2000),
        text=cut(message.text, 2000),
        pipeline=message.pipeline[:1000],
        run_id=message.run_id[:1000],
        stage=message.stage[:1000],
        data={},
        labels={},
        links={},
        actions=tuple(one for one in message.actions[:3] if len(one.url) + len(one.label) <= 4000),
    )
