"""Making a valid draft of whatever a service sent: too long is cut, of the wrong type is left out, never refused.

A receiver names what it read by `draft(…)`; only a payload that is not of its service at all is refused.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from tocsin.sources.draft import (
    LAST_MS,
    MAX_DEPTH,
    MAX_EVENT_BYTES,
    MAX_INT,
    MIN_INT,
    Draft,
    is_web_address,
    severity_of,
)
from tocsin.sources.kinds import kind_of

CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
NOT_TYPE = re.compile(r"[^A-Za-z0-9._:/-]")
TEXT_CHARS = 16 * 1024
DATA_ITEMS = 200
WORDS, WORD_CHARS = 50, 1000
FRACTION = re.compile(r"\.(\d{6})\d+")
SEVERITIES = ("info", "warning", "error", "critical")


def draft(
    *,
    source: str,
    type: str,  # noqa: A002 - the word of the contract
    kind: str = "",
    id: object = None,  # noqa: A002
    pipeline: object = "",
    run_id: object = "",
    stage: object = "",
    time: object = None,
    severity: str = "",
    title: object = "",
    message: object = "",
    labels: Mapping[str, object] | None = None,
    data: Mapping[str, object] | None = None,
    links: Mapping[str, object] | None = None,
) -> Draft:
    """A valid draft: names cut to 256 characters and without control characters, text to 16 KiB, empty labels and data
    left out, links only where they are web addresses. `time`: RFC 3339, or Unix seconds or milliseconds. `kind`: where
    the type does not say it."""
    type_ = type_name(type)
    kind = kind or kind_of(type_)
    return Draft(
        id=name(id) or None,
        type=type_,
        kind=kind,
        source=name(source),
        pipeline=name(pipeline),
        run_id=name(run_id),
        stage=name(stage),
        time_ms=time_ms(time),
        severity=severity if severity in SEVERITIES else severity_of(kind, None),
        title=text(title)[:512],
        message=text(message),
        labels={
            name(key)[:128]: text(value)[:512] for key, value in (labels or {}).items() if name(key) and text(value)
        },
        data={name(key): plain(value) for key, value in (data or {}).items() if value not in (None, "", [], {})},
        links={
            name(key)[:128]: str(url)
            for key, url in (links or {}).items()
            if isinstance(url, str) and len(url) <= 2048 and is_web_address(url)
        },
    )


def within_bounds(one: Draft) -> Draft:
    """An event of at most MAX_EVENT_BYTES: of one that is larger, only what its data says in a word or a number is
    kept. Who sent it would not send it otherwise, and it may be the one that matters."""
    if len(msgspec.json.encode(one)) <= MAX_EVENT_BYTES:
        return one
    kept: dict[str, Any] = {name: value for name, value in one.data.items() if isinstance(value, bool | int | float)}
    kept |= {name: value[:WORD_CHARS] for name, value in one.data.items() if isinstance(value, str)}
    return replace(one, data=dict(list(kept.items())[:WORDS]) | {"data_left_out": True})


def type_name(value: str) -> str:
    """As a type must be: letters, digits and ._:/- after a letter."""
    found = NOT_TYPE.sub("_", value).strip("._:/-")[:128]
    return found if found[:1].isalpha() else f"event.{found}"[:128].rstrip(".")


def name(value: object) -> str:
    """A name of at most 256 characters on one line; "" for what is none."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return CONTROL.sub(" ", printable(str(value))).strip()[:256]


def text(value: object) -> str:
    """Text of at most 16 KiB; numbers and truths as text, "" for anything else."""
    if value is True or value is False:
        return "true" if value else "false"
    if not isinstance(value, str | int | float):
        return ""
    return printable(str(value)).replace("\x00", "")[:TEXT_CHARS]


def printable(value: str) -> str:
    """Without lone surrogates: no UTF-8 exists for them."""
    return value.encode("utf-8", "replace").decode("utf-8")


def plain(value: object, depth: int = 2) -> Any:
    """A value that both stores hold: bounded in depth, in items and in its numbers."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if MIN_INT <= value <= MAX_INT else str(value)[:64]
    if isinstance(value, str):
        return text(value)
    if depth >= MAX_DEPTH:
        return "…"
    if isinstance(value, Mapping):
        items = list(value.items())[:DATA_ITEMS]
        return {printable(str(key)).replace("\x00", "")[:256]: plain(one, depth + 1) for key, one in items}
    if isinstance(value, Sequence):
        return [plain(one, depth + 1) for one in value[:DATA_ITEMS]]
    return text(str(value))


def time_ms(value: object) -> int | None:
    """Unix milliseconds of RFC 3339 text (without an offset: UTC) or of Unix seconds or milliseconds; None where it is
    no time between 1970 and 9999."""
    if isinstance(value, str):
        try:
            at = datetime.fromisoformat(FRACTION.sub(r".\1", value.strip()))
        except ValueError:
            return None
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        try:
            found = int(at.timestamp() * 1000)
        except (OverflowError, ValueError):
            return None
    elif isinstance(value, int | float) and not isinstance(value, bool) and value == value and abs(value) < 1e15:
        found = int(value if abs(value) > 1e11 else value * 1000)
    else:
        return None
    return found if 0 <= found <= LAST_MS else None


def at(value: object, *path: str | int) -> Any:
    """What stands under these names and places, one in the other; None where there is nothing."""
    for step in path:
        if isinstance(step, str):
            value = value.get(step) if isinstance(value, Mapping) else None
        else:
            value = value[step] if isinstance(value, list) and -len(value) <= step < len(value) else None
    return value


def words(value: object, *path: str | int) -> str:
    """The same, as text; "" where there is none."""
    return text(at(value, *path))


def a_list(value: object, *path: str | int) -> list[Any]:
    """The same, as a list; empty where there is none."""
    found = at(value, *path)
    return found if isinstance(found, list) else []


def seconds_between(begin: object, end: object) -> float | None:
    """How long it took, where both times are known."""
    first, last = time_ms(begin), time_ms(end)
    return None if first is None or last is None or last < first else (last - first) / 1000
