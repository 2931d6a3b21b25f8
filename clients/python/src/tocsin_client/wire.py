"""An event as a line of JSON that the server accepts, whatever it was made of."""

from __future__ import annotations

import json
import math
from typing import Any

MOST_BYTES = 200 * 1024
"""The server takes 256 KiB; what is larger loses the longest parts of its data."""

CUT_CHARS = 4096
SHORT_CHARS = 128
"""In a line of this length nothing is over a limit."""
MOST_DEPTH = 24
MIN_INT, MAX_INT = -(2**63), 2**64 - 1
CHARS = {"title": 512, "message": 16 * 1024, "source": 256, "pipeline": 256, "run_id": 256, "stage": 256, "id": 256}
"""The server's limits. Of a message the end is kept: that is where the error is."""

_quick = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode


def line_of(event: dict[str, Any]) -> bytes:
    """One line without its end, in ASCII. Raises nothing for anything that a program may put into an event."""
    try:
        text = _quick(event)
    except (TypeError, ValueError, RecursionError):
        return _careful(event)
    if (len(text) > SHORT_CHARS and (len(text) > CUT_CHARS or is_too_long(event))) or "\\u" in text:
        return _careful(event)
    return text.encode("ascii")


def is_too_long(event: dict[str, Any]) -> bool:
    labels = event.get("labels", ())
    return any(len(event.get(name, "")) > most for name, most in CHARS.items()) or (
        bool(labels) and (len(labels) > 64 or max(map(len, labels)) > 128 or max(map(len, labels.values())) > 512)
    )


def _careful(event: dict[str, Any]) -> bytes:
    fitting = fitted(event)
    line = _quick(fitting).encode("ascii")
    if len(line) > MOST_BYTES:
        fitting["data"] = shortened(fitting.get("data") or {})
        line = _quick(fitting).encode("ascii")
    if len(line) > MOST_BYTES:
        kept = {name: value for name, value in fitting["data"].items() if name in ("error", "parent_run_id")}
        fitting["data"] = {**kept, "left_out": "the data was too large"}
        line = _quick(fitting).encode("ascii")
    return line


def fitted(event: dict[str, Any]) -> dict[str, Any]:
    """The event within the server's limits."""
    found: dict[str, Any] = {}
    for name, value in event.items():
        if name in CHARS:
            text = clean(str(value))
            found[name] = text[-CHARS[name] :] if name == "message" else text[: CHARS[name]]
        elif name == "labels":
            found[name] = dict(list({text_of(k)[:128]: text_of(v)[:512] for k, v in dict(value).items()}.items())[:64])
        else:
            found[name] = plain(value)
    if not isinstance(found.get("data", {}), dict):
        found["data"] = {"value": found["data"]}
    return found


def plain(value: Any, depth: int = 1) -> Any:
    """The value in JSON's own types: NaN is a word, an array of one element its element, anything else its text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return clean(str(value))
    if isinstance(value, int):
        return int(value) if MIN_INT <= value <= MAX_INT else text_of(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    if depth < MOST_DEPTH:
        if isinstance(value, dict):
            return {text_of(name): plain(inner, depth + 1) for name, inner in list(value.items())}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [plain(inner, depth + 1) for inner in list(value)]
        item = getattr(value, "item", None)  # a number of numpy's or torch's
        if callable(item) and getattr(value, "size", None) in (1, ()):
            return plain(item(), MOST_DEPTH)
    return text_of(value)


def text_of(value: Any) -> str:
    try:
        return clean(str(value))[:CUT_CHARS]
    except Exception:  # whose __str__ fails
        return f"a {type(value).__name__}"


def clean(text: str) -> str:
    """Without U+0000 and without halves of characters, which the server refuses."""
    if "\x00" in text:
        text = text.replace("\x00", "\ufffd")
    return text.encode("utf-8", "replace").decode("utf-8")


def shortened(value: Any) -> Any:
    """Long texts by their end; long lists by their beginning."""
    if isinstance(value, str):
        return value if len(value) <= CUT_CHARS else "…" + value[1 - CUT_CHARS :]
    if isinstance(value, dict):
        return {name: shortened(inner) for name, inner in list(value.items())[:200]}
    return [shortened(inner) for inner in value[:100]] if isinstance(value, list) else value
