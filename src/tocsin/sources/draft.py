"""A draft: an event that is valid but not yet ours. Every source ends here, so every source has the same limits.

The types say the limits; msgspec checks them while it decodes. What they cannot say is checked by `hostile_values`
(where `is_harmless` does not rule them out), `checked_names` and `checked_urls`. `explained` turns what a
decoder says into an `Invalid` that names the field, what was found and what was expected.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from tocsin.model.errors import Invalid
from tocsin.model.event import Action, Severity

MAX_EVENT_BYTES = 256 * 1024
"""Where EventBridge and SQS end too; what conditions may cost is reckoned for it. A larger one is a 413."""
MAX_EVENTS = 1000
"""In one request: one transaction holds them all."""
MAX_DEPTH = 32
"""Levels of nesting in an event, the event itself being the first. CEL's own limit is the same."""
MIN_INT, MAX_INT = -(2**63), 2**64 - 1
"""Outside it a reader's integers become floats, other integers or errors, depending on the reader."""
LAST_MS = 253_402_300_799_999
"""The end of the year 9999, where RFC 3339 ends. The first is 0: Unix time begins in 1970."""

TypeName = Annotated[str, Meta(max_length=128, pattern=r"^[A-Za-z][A-Za-z0-9._:/-]*\Z")]
Name = Annotated[str, Meta(max_length=256)]
Id = Annotated[str, Meta(min_length=1, max_length=256)]
Title = Annotated[str, Meta(max_length=512)]
Text = Annotated[str, Meta(max_length=16 * 1024)]
Labels = Annotated[
    dict[Annotated[str, Meta(min_length=1, max_length=128)], Annotated[str, Meta(max_length=512)]], Meta(max_length=64)
]
Url = Annotated[str, Meta(min_length=1, max_length=2048)]
Links = Annotated[dict[Annotated[str, Meta(min_length=1, max_length=128)], Url], Meta(max_length=16)]
Time = Annotated[datetime, Meta(tz=True)]


class ActionIn(Struct, frozen=True, forbid_unknown_fields=True):
    """A button as it comes in."""

    label: Annotated[str, Meta(min_length=1, max_length=128)]
    url: Url
    style: Annotated[str, Meta(max_length=32)] | None = None


Actions = Annotated[list[ActionIn], Meta(max_length=10)]

EXPECTED: Mapping[str, str] = {
    "type": "a name such as run.failed: letters, digits and ._:/- after a letter, at most 128 characters",
    "id": "a string of 1 to 256 characters without control characters",
    "source": "a string of at most 256 characters without control characters",
    "pipeline": "a string of at most 256 characters without control characters",
    "run_id": "a string of at most 256 characters without control characters",
    "stage": "a string of at most 256 characters without control characters",
    "time": "an RFC 3339 date and time with an offset, 1970 to 9999, such as 2026-11-21T02:00:00Z",
    "severity": "info, warning, error or critical",
    "title": "a string of at most 512 characters",
    "message": "a string of at most 16384 characters",
    "labels": "an object of at most 64 strings: names of 1 to 128, values of at most 512 characters",
    "data": "an object",
    "links": "an object of at most 16 http(s) addresses of at most 2048 characters",
    "actions": "a list of at most 10 objects with label, url and style",
    "label": "a string of 1 to 128 characters",
    "url": "an http(s) address of at most 2048 characters",
    "style": "primary, danger or nothing (at most 32 characters)",
    "events": f"a list of at most {MAX_EVENTS} events",
}

SEVERITY_OF = {
    "run.failed": "error",
    "stage.failed": "error",
    "safety.rollback": "error",
    "run.exceeded": "warning",
    "run.warning": "warning",
    "run.missed": "warning",
    "alert": "warning",
}
"""The severity of an event that does not say; "info" for every other kind."""


class Draft(Struct, frozen=True, kw_only=True, gc=False):
    """An event after validation, before it has a tenant, a `uid` and a time of receipt.

    `id` is None where the source gave none; `time_ms` (Unix milliseconds, UTC) is None where it did not say when.
    """

    id: str | None = None
    type: str
    kind: str
    source: str = "http"
    pipeline: str = ""
    run_id: str = ""
    stage: str = ""
    time_ms: int | None = None
    severity: str = "info"
    title: str = ""
    message: str = ""
    labels: dict[str, str] = {}
    data: dict[str, Any] = {}
    links: dict[str, str] = {}
    actions: tuple[Action, ...] = ()


_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_URL = re.compile(r"https?://[^\s/?#\\<>\"`\x00-\x20\x7f-\x9f][^\s\\<>\"`\x00-\x20\x7f-\x9f]*", re.IGNORECASE)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def severity_of(kind: str, given: Severity | None) -> str:
    """What the source said, else what the kind says."""
    return given or SEVERITY_OF.get(kind, "info")


def time_ms_of(time: datetime) -> int:
    """Unix milliseconds. Raises Invalid before 1970 and after 9999."""
    time_ms = (time - _EPOCH) // _MILLISECOND
    if not 0 <= time_ms <= LAST_MS:
        raise Invalid("time", shown(time.isoformat()), EXPECTED["time"])
    return time_ms


def checked_names(names: Mapping[str, str]) -> None:
    """Raises Invalid for a control character in a name: it would end up in headers, logs and keys."""
    for field, name in names.items():
        if has_control(name):
            raise Invalid(field, shown(name), EXPECTED[field])


def has_control(text: str) -> bool:
    """Whether there is a control character or a line separator in it."""
    return not text.isprintable() and _CONTROL.search(text) is not None


def is_web_address(url: str) -> bool:
    """Whether it is an http(s) address that people can be shown: a host, and nothing that breaks out of markup."""
    return _URL.fullmatch(url) is not None


def checked_urls(links: Mapping[str, str], actions: Iterable[ActionIn]) -> None:
    """Raises Invalid for what is not an http(s) address, such as `javascript:`."""
    for name, url in links.items():
        if not _URL.fullmatch(url):
            raise Invalid(f"links.{name}", shown(url), EXPECTED["url"])
    for number, action in enumerate(actions):
        if not _URL.fullmatch(action.url):
            raise Invalid(f"actions[{number}].url", shown(action.url), EXPECTED["url"])


def actions_of(actions: Iterable[ActionIn]) -> tuple[Action, ...]:
    return tuple([Action(action.label, action.url, action.style or "") for action in actions])


def is_harmless(data: Mapping[str, Any], nul: bool) -> bool:
    """Whether `hostile_values` would find nothing in `data`. `nul` is whether the body's bytes have a \\u0000 in them.

    Quick, because it runs for every event: it keeps no path and looks at strings only where a NUL may be in one.
    """
    return not nul and _within_bounds(data.values(), 2)


def _within_bounds(values: Iterable[Any], depth: int) -> bool:
    for value in values:
        kind = type(value)
        if kind is int:
            if not MIN_INT <= value <= MAX_INT:
                return False
        elif kind is dict:
            if depth >= MAX_DEPTH or not _within_bounds(value.values(), depth + 1):
                return False
        elif kind is list and (depth >= MAX_DEPTH or not _within_bounds(value, depth + 1)):
            return False
    return True


def hostile_values(value: Any, at: str = "", depth: int = 1) -> None:
    """Raises Invalid, with the path, for what one of the two stores cannot hold or readers disagree about.

    PostgreSQL has no U+0000 in text or jsonb; SQLite has. Both must give the same verdict, so it is given here.
    """
    if isinstance(value, str):
        if "\x00" in value:
            raise Invalid(at, shown(value), "a string without U+0000")
    elif isinstance(value, dict):
        _checked_depth(at, depth)
        for name, inner in value.items():
            path = f"{at}.{name}" if at else name
            if "\x00" in name:
                raise Invalid(path.replace("\x00", "\\u0000"), shown(name), "a name without U+0000")
            hostile_values(inner, path, depth + 1)
    elif isinstance(value, list):
        _checked_depth(at, depth)
        for number, inner in enumerate(value):
            hostile_values(inner, f"{at}[{number}]", depth + 1)
    elif isinstance(value, int) and not MIN_INT <= value <= MAX_INT:
        raise Invalid(at, f"an integer of {len(str(value))} digits", "an integer of at most 64 bits")


def _checked_depth(at: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise Invalid(at[:128], f"more than {MAX_DEPTH} levels of nesting", f"at most {MAX_DEPTH}")


def checked_size(size: int, at: str = "") -> None:
    """Raises Invalid (413) for an event of too many bytes."""
    if size > MAX_EVENT_BYTES:
        raise Invalid(at, f"an event of {size} bytes", f"at most {MAX_EVENT_BYTES}", status=413)


def shown(value: Any, limit: int = 80) -> str:
    """A found value as JSON, cut to `limit` characters."""
    try:
        text = msgspec.json.encode(value).decode()
    except (TypeError, ValueError, RecursionError):
        text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


_UNKNOWN = re.compile(r"Object contains unknown field `(.*?)`(?: - at `\$(.*)`)?\Z", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*?)`(?: - at `\$(.*)`)?\Z", re.DOTALL)
_OTHER = re.compile(r"(.*?)(?: - at (`key` in )?`\$(.*)`)?\Z", re.DOTALL)
_MALFORMED = re.compile(r"JSON is malformed: (.*) \(byte (\d+)\)")
_SEGMENT = re.compile(r"\.([A-Za-z_]\w*)|\[(\d+|\.\.\.)\]")


def explained(error: Exception, body: bytes, known: Iterable[str]) -> Invalid:
    """What msgspec says about `body`, for people. `known` are the field names of an event.

    Takes DecodeError, ValidationError, UnicodeDecodeError and RecursionError.
    """
    if isinstance(error, RecursionError):
        return Invalid("", "JSON nested too deeply", f"at most {MAX_DEPTH} levels")
    if not isinstance(error, msgspec.ValidationError):
        return _malformed(str(error), body)
    unknown = _UNKNOWN.match(str(error))
    if unknown:
        parent = (unknown[2] or "").removeprefix(".")
        names = ("label", "url", "style") if "actions" in parent else tuple(known)
        names = tuple(name for name in names if name != "events") if parent else names
        close = difflib.get_close_matches(unknown[1][:64], names, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        name = unknown[1][:64]
        return Invalid(f"{parent}.{name}" if parent else name, "an unknown field", f"one of {', '.join(names)}{hint}")
    missing = _MISSING.match(str(error))
    if missing:
        parent = (missing[2] or "").removeprefix(".")
        return Invalid(f"{parent}.{missing[1]}" if parent else missing[1], "nothing", EXPECTED[missing[1]])
    other = _OTHER.match(str(error))
    what, path = (other[1], (other[3] or "") + ("[...]" if other[2] else "")) if other else (str(error), "")
    return _at_path(what, path, body)


def _malformed(what: str, body: bytes) -> Invalid:
    """Bytes that are no JSON. The position of bad UTF-8 is looked up here: the decoder's is relative to its string."""
    if not body.strip():
        return Invalid("", "an empty body", "a JSON object")
    if body.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")) or b"\x00" in body[:4]:
        return Invalid("", "a byte order mark or UTF-16/32", "JSON in UTF-8 without one")
    try:
        body.decode()
    except UnicodeDecodeError as error:
        return Invalid("", f"bytes that are not UTF-8 at byte {error.start}", "JSON in UTF-8")
    malformed = _MALFORMED.match(what)
    if malformed:
        return Invalid("", f"malformed JSON at byte {malformed[2]}: {malformed[1]}", "a JSON object")
    return Invalid("", f"malformed JSON at byte {len(body)}: it ends too early", "a JSON object")


def _at_path(what: str, path: str, body: bytes) -> Invalid:
    """`what` was wrong with the value at `path` (msgspec's way of writing it, such as `.events[3].labels[...]`)."""
    try:
        value: Any = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        value = None
    field, last = "", ""
    for name, number in _SEGMENT.findall(path):
        if name:
            field, last = f"{field}.{name}" if field else name, name
            value = value.get(name) if isinstance(value, dict) else None
        elif number == "...":
            name, value = _first_bad(last, value)
            field = f"{field}.{name}" if name else field
        else:
            field = f"{field}[{number}]"
            value = value[int(number)] if isinstance(value, list) and int(number) < len(value) else None
    if "out of range" in what:
        return Invalid(field, "a number out of range", "numbers that fit 64 bits")
    if not field or (last == "events" and not isinstance(value, list)):
        return Invalid(field, _kind_of_json(value), EXPECTED.get(last, "a JSON object"))
    found = _kind_of_json(value) if isinstance(value, dict | list) else shown(value)
    return Invalid(field, found, EXPECTED.get(last, what))


def _first_bad(field: str, value: Any) -> tuple[str, Any]:
    """The first entry of labels or links that does not hold; ("", value) where it is something else."""
    shape = {"labels": Labels, "links": Links}.get(field)
    if shape is not None and isinstance(value, dict):
        for name, inner in value.items():
            try:
                msgspec.convert({name: inner}, shape)
            except msgspec.ValidationError:
                return name[:128], inner
    return "", value


def _kind_of_json(value: Any) -> str:
    if isinstance(value, dict):
        return f"an object of {len(value)}"
    return f"an array of {len(value)}" if isinstance(value, list) else shown(value)
