"""What expressions compute with: null, booleans, numbers, text, lists and maps. Nothing else ever enters one."""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from typing import Any

Value = Any
"""None, bool, int, float, str, datetime, list of these, or a map from text to these."""


class ExpressionError(Exception):
    """What is wrong with an expression, and where in its text (characters from 0; -1 where nobody can say)."""

    def __init__(self, reason: str, position: int = -1) -> None:
        super().__init__(reason if position < 0 else f"{reason} (at character {position + 1})")
        self.reason = reason
        self.position = position


class Missing(ExpressionError):
    """A name or a field that is not there. `??`, `default` and `is defined` take it for null."""


def text(value: Value) -> str:
    """A value as it stands in the rendered text: null is nothing, maps and lists are JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, dt.datetime):
        return iso(value)
    if isinstance(value, Mapping | Sequence):
        return as_json(value)
    return str(value)


def iso(at: dt.datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def as_json(value: Value) -> str:
    """Compact JSON, keys in their own order, characters as they are."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=text)


def truth(value: Value) -> bool:
    """What `if` and `and` take for true: true itself; other kinds by whether there is anything of them."""
    if isinstance(value, str):
        return value not in ("", "false")
    return bool(value)


def kind(value: Value) -> str:
    """The kind's name, for messages."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    if isinstance(value, Mapping):
        return "a map"
    if isinstance(value, dt.datetime):
        return "a time"
    return "a list"


def equal(left: Value, right: Value) -> bool:
    """Numbers by value, others by kind and value: "1" is not 1, true is not 1."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, int | float) and isinstance(right, int | float):
        return left == right
    return type(left) is type(right) and bool(left == right)
