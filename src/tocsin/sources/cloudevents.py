"""CloudEvents 1.0 over HTTP: structured, batch and binary mode.

What CloudEvents has no attribute for (pipeline, run, stage, …) is taken from extension attributes, then from `data`
under its native name. Where it does not hold there, it is somebody else's field of that name and stays in `data`.
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md
"""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec
from msgspec import Struct

from tocsin.model.errors import Invalid
from tocsin.model.event import Severity
from tocsin.sources import cdevents, tekton
from tocsin.sources.draft import (
    EXPECTED,
    MAX_EVENT_BYTES,
    MAX_EVENTS,
    ActionIn,
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
    shown,
    time_ms_of,
)
from tocsin.sources.incoming import Incoming, Source, Taken
from tocsin.sources.kinds import kind_of

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
CORE = frozenset(
    {"specversion", "id", "source", "type", "time", "subject", "datacontenttype", "dataschema", "data", "data_base64"}
)
MAX_LABEL_CHARS = 512

OTHERS = (tekton.PREFIX, cdevents.PREFIX)

_any = msgspec.json.Decoder()
_VERSION = re.compile(r"1\.\d{1,3}")
_VERSION_AT_END = re.compile(r"(\.v?\d+)+$", re.IGNORECASE)


class Attributes(Struct, frozen=True, kw_only=True):
    """The context attributes that Tocsin reads, checked like the native fields that they become."""

    specversion: str
    id: Id
    source: Id
    type: TypeName
    time: Time | None = None
    subject: str | None = None


class Given(Struct, kw_only=True):
    """What extensions or data say about an event, under its native names."""

    pipeline: Name | None = None
    run_id: Name | None = None
    stage: Name | None = None
    severity: Severity | None = None
    title: Title | None = None
    message: Text | None = None
    labels: Labels | None = None
    links: Links | None = None
    actions: Actions | None = None


EXTENSIONS = {"pipeline": "pipeline", "runid": "run_id", "stage": "stage", "severity": "severity", "title": "title"}
"""Extension attribute → native field. CloudEvents names have only lower-case letters and digits."""
SHAPES: Mapping[str, Any] = {
    "pipeline": Name,
    "run_id": Name,
    "stage": Name,
    "severity": Severity,
    "title": Title,
    "message": Text,
    "labels": Labels,
    "links": Links,
    "actions": Actions,
}


def is_cloudevents(headers: Mapping[str, str], content_type: str) -> bool:
    """Whether a request is a CloudEvent, in any mode. Header names are lower-case."""
    return content_type.lower().lstrip().startswith("application/cloudevents") or "ce-specversion" in headers


def decode_cloudevents(headers: Mapping[str, str], content_type: str, body: bytes) -> list[Draft]:
    """The events of a request, in order. An empty batch is legal.

    Raises:
        Invalid: names the attribute (`[2].time` in a batch), what was found and what was expected; 413 for an event of
            more than MAX_EVENT_BYTES, 415 for an event format other than JSON.
    """
    media = media_type(content_type)
    if media == STRUCTURED:
        checked_size(len(body))
        return [structured(json_of(body), may_have_nul(body))]
    if media == BATCH:
        return batch(body)
    if media.startswith("application/cloudevents"):
        raise Invalid("content-type", shown(media), f"{STRUCTURED} or {BATCH}", status=415)
    checked_size(len(body))
    return [binary(headers, content_type, body)]


def batch(body: bytes) -> list[Draft]:
    """Batched mode: a JSON array of structured events."""
    events = json_of(body)
    if not isinstance(events, list):
        raise Invalid("", f"not an array: {shown(events)}", "an array of CloudEvents")
    if len(events) > MAX_EVENTS:
        raise Invalid("", f"{len(events)} events", f"at most {MAX_EVENTS}")
    drafts: list[Draft] = []
    try:
        for event in events:
            if len(body) > MAX_EVENT_BYTES:
                checked_size(len(msgspec.json.encode(event)))
            drafts.append(structured(event, may_have_nul(body)))
    except Invalid as error:
        at = f"[{len(drafts)}]"
        field = f"{at}.{error.field}" if error.field else at
        raise Invalid(field, error.found, error.expected, status=error.status) from None
    return drafts


def structured(event: Any, nul: bool) -> Draft:
    """One event in the JSON format: attributes and `data` or `data_base64` side by side. null means absent."""
    if not isinstance(event, dict):
        raise Invalid("", shown(event), "a CloudEvent: an object")
    attributes = {
        name: value for name, value in event.items() if value is not None and name not in {"data", "data_base64"}
    }
    if "data_base64" in event and event["data_base64"] is not None:
        if event.get("data") is not None:
            raise Invalid("data_base64", "both data and data_base64", "one of them")
        data = decoded_base64(event["data_base64"], str(attributes.get("datacontenttype", "")))
    else:
        data = as_object(event.get("data"))
    return draft_of(attributes, data, nul)


def binary(headers: Mapping[str, str], content_type: str, body: bytes) -> Draft:
    """Binary mode: attributes in `ce-*` headers, percent-encoded; the body is the data."""
    attributes: dict[str, Any] = {}
    for header, value in headers.items():
        if header.startswith("ce-"):
            attributes[header[3:]] = percent_decoded(header, value)
    return draft_of(attributes, data_of(content_type, body), True)


def draft_of(attributes: Mapping[str, Any], data: dict[str, Any], nul: bool) -> Draft:
    """An event from its attributes and data, whatever the mode."""
    core = core_of(attributes)
    if core.type.startswith(OTHERS):
        known = of_others(core.type, attributes, data)
        if known is not None:
            return known
    given, rest = native_fields(data)
    labels = dict(given.labels or {})
    for name, value in attributes.items():
        if name in CORE:
            continue
        field = EXTENSIONS.get(name)
        held = None if field is None else held_as(field, value)
        if field is not None and held is not None:
            setattr(given, field, held)
        else:
            labels.setdefault(f"ce_{name}"[:128], label_of(value))
    if core.subject:
        subject = held_as("run_id", core.subject)
        if given.run_id is None and subject is not None:
            given.run_id = subject
        else:
            labels.setdefault("ce_subject", label_of(core.subject))
    if len(labels) > 64:
        raise Invalid("extensions", f"{len(labels)} labels and extensions", "at most 64")
    if not is_harmless(rest, nul):
        hostile_values({"data": rest} | dict(attributes) | msgspec.to_builtins(given))
    checked_names({"id": core.id, "source": core.source})
    kind = kind_of_cloudevent(core.type)
    return Draft(
        id=core.id,
        type=core.type,
        kind=kind,
        source=core.source,
        pipeline=given.pipeline or "",
        run_id=given.run_id or "",
        stage=given.stage or "",
        time_ms=None if core.time is None else time_ms_of(core.time),
        severity=severity_of(kind, given.severity),
        title=given.title or "",
        message=given.message or "",
        labels=labels,
        data=rest,
        links=given.links or {},
        actions=actions_of(given.actions or ()),
    )


def of_others(type: str, attributes: Mapping[str, Any], data: Mapping[str, Any]) -> Draft | None:  # noqa: A002
    """An event of a service that has its own words inside of CloudEvents; None where it does not keep to them."""
    reader = tekton.taken if type.startswith(tekton.PREFIX) else cdevents.taken
    try:
        return reader(attributes, data).drafts[0]
    except Invalid:
        return None


def core_of(attributes: Mapping[str, Any]) -> Attributes:
    """The context attributes. Raises Invalid for one that is missing or does not hold."""
    for name in ("specversion", "id", "source", "type"):
        if not attributes.get(name):
            raise Invalid(name, shown(attributes[name]) if name in attributes else "nothing", EXPECTED.get(name, "1.0"))
    version = attributes["specversion"]
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        raise Invalid("specversion", shown(version), "1.0")
    try:
        return msgspec.convert(attributes, Attributes)
    except msgspec.ValidationError as error:
        name = str(error).rpartition("`$.")[2].rstrip("`")
        expected = EXPECTED.get(name, "a string")
        raise Invalid(name, shown(attributes.get(name)), expected) from None


def native_fields(data: Mapping[str, Any]) -> tuple[Given, dict[str, Any]]:
    """What of `data` is a native field and holds, and the rest of it."""
    given, rest = Given(), {}
    for name, value in data.items():
        held = held_as(name, value) if name in SHAPES else None
        if held is None:
            rest[name] = value
        else:
            setattr(given, name, held)
    return given, rest


def held_as(field: str, value: Any) -> Any:
    """The value as the native field `field`; None where it does not hold."""
    try:
        held: Any = msgspec.convert(value, SHAPES[field])
        if field in {"pipeline", "run_id", "stage"} and has_control(held):
            return None
        if field == "links":
            checked_urls(held, ())
        if field == "actions":
            actions: list[ActionIn] = held
            checked_urls({}, actions)
    except (msgspec.ValidationError, Invalid):
        return None
    return held


def kind_of_cloudevent(type: str) -> str:  # noqa: A002  `type` is the word of the contract
    """The kind of a type that may start with a reversed domain and end in a version.

    >>> kind_of_cloudevent("com.acme.pipeline.run.failed"), kind_of_cloudevent("dev.tekton.event.taskrun.failed.v1")
    ('run.failed', 'stage.failed')
    """
    kind = kind_of(type)
    if kind != "other":
        return kind
    words = _VERSION_AT_END.sub("", type).split(".")
    for taken in (3, 2):
        kind = kind_of(".".join(words[-taken:]))
        if kind != "other":
            return kind
    return "other"


def data_of(content_type: str, body: bytes) -> dict[str, Any]:
    """The data of binary mode as an object: JSON as it is, text as {"text"}, anything else as {"base64"}."""
    media = media_type(content_type)
    if not body:
        return {}
    if media in {"", "application/json", "text/json"} or media.endswith("+json"):
        return as_object(json_of(body))
    if media.startswith("text/") or media.endswith("xml"):
        try:
            return {"text": body.decode()}
        except UnicodeDecodeError as error:
            raise Invalid("data", f"bytes that are not UTF-8 at byte {error.start}", "text in UTF-8") from None
    return {"base64": base64.b64encode(body).decode()}


def decoded_base64(value: Any, content_type: str) -> dict[str, Any]:
    """`data_base64`: decoded where its type says JSON, else kept as it came, so that nothing is guessed."""
    if not isinstance(value, str):
        raise Invalid("data_base64", shown(value), "a string")
    if not media_type(content_type).endswith("json"):
        return {"base64": value}
    try:
        return as_object(json_of(base64.b64decode(value, validate=True)))
    except binascii.Error:
        raise Invalid("data_base64", shown(value), "base64") from None


def as_object(data: Any) -> dict[str, Any]:
    """Data as an object: what is none becomes {"value": …}, nothing becomes {}."""
    if data is None:
        return {}
    return data if isinstance(data, dict) else {"value": data}


def percent_decoded(header: str, value: str) -> str:
    """A header value of the HTTP binding (section 3.1.3.2): percent-encoded UTF-8."""
    if "%" not in value and value.isascii():
        return value
    try:
        # Headers come as Latin-1; a sender that forgot to encode wrote UTF-8.
        return unquote_to_bytes(value.encode("latin-1")).decode()
    except (UnicodeDecodeError, UnicodeEncodeError):
        raise Invalid(header, shown(value), "percent-encoded UTF-8") from None


def label_of(value: Any) -> str:
    """An extension attribute as a label. Values are strings, numbers or booleans; what is more is shown as JSON."""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text[:MAX_LABEL_CHARS]


def json_of(body: bytes) -> Any:
    """The body as JSON. Raises Invalid."""
    try:
        return _any.decode(body)
    except (ValueError, RecursionError) as error:
        raise explained(error, body, ()) from None


def may_have_nul(body: bytes) -> bool:
    return b"\\u0000" in body


def media_type(content_type: str) -> str:
    """Without parameters, in lower case."""
    return content_type.partition(";")[0].strip().lower()


def read(incoming: Incoming) -> Taken:
    """The same as a receiver: senders that have no header to spare say `application/json`, and are understood."""
    content_type = incoming.headers.get("content-type", "")
    if not is_cloudevents(incoming.headers, content_type):
        content_type = BATCH if incoming.body.lstrip()[:1] == b"[" else STRUCTURED
    drafts = decode_cloudevents(incoming.headers, content_type, incoming.body)
    return Taken(tuple(drafts), "" if drafts else "an empty batch")


SOURCE = Source(kind="cloudevents", label="CloudEvents", read=read)
