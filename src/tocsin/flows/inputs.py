"""What an execution is given: by type, as the flow declares it. What is ill-typed is refused before anything runs."""

import datetime as dt
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from tocsin.flows.durations import seconds
from tocsin.flows.execution import SHORTEST_SECRET, Execution, TaskFailed
from tocsin.flows.expression.values import text as as_text
from tocsin.flows.model import Flow, Input
from tocsin.model.errors import Invalid

MOST_CHARS = 64 * 1024
CHECKED_CHARS = 4096
"""Of a text that a `validator` looks at: a regular expression can take its time with a long one."""


def checked_inputs(flow: Flow, given: Mapping[str, Any]) -> dict[str, Any]:
    """What was given, as its types want it. What has a default may be missing: `complete` fills it in.

    Raises Invalid, naming `inputs.<id>`, for what is ill-typed, missing or unknown.
    """
    known = {one.id: one for one in flow.inputs}
    for name in given:
        if name not in known:
            expected = f"one of {', '.join(known)}" if known else "none: the flow has no inputs"
            raise Invalid(f"inputs.{name[:60]}", "an unknown input", expected)
    found = {}
    for one in flow.inputs:
        value = given.get(one.id)
        if value is not None:
            found[one.id] = typed(one, value)
        elif one.default is None and one.required:
            raise Invalid(f"inputs.{one.id}", "nothing", f"a value: {expected_of(one)}")
        elif one.default is not None and not is_expression(one.default):
            typed(one, one.default)
    return found


def complete(execution: Execution) -> None:
    """Puts defaults in place of what was not given; what is a SECRET is hidden in the log. Raises TaskFailed."""
    for one in execution.flow.inputs:
        if execution.inputs.get(one.id) is None:
            value = execution.rendered(one.default)  # what the flow says, never what a caller gave
            if value is None and one.required:
                raise TaskFailed(f"the input {one.id} is missing")
            try:
                execution.inputs[one.id] = None if value is None else typed(one, value)
            except Invalid as invalid:
                raise TaskFailed(invalid.detail) from None
        secret = execution.inputs[one.id]
        if one.type == "SECRET" and isinstance(secret, str) and len(secret) >= SHORTEST_SECRET:
            execution.hidden.add(secret)


def is_expression(value: Any) -> bool:
    return isinstance(value, str) and ("{{" in value or "{%" in value)


def typed(one: Input, value: Any) -> Any:
    """Raises Invalid."""
    read = READERS.get(one.type)
    if read is None:
        raise Invalid(f"inputs.{one.id}", f"an input of the type {one.type}", f"one of {', '.join(READERS)}")
    if isinstance(value, str) and len(value) > MOST_CHARS:
        raise Invalid(f"inputs.{one.id}", f"{len(value)} characters", f"at most {MOST_CHARS}")
    try:
        return read(one, value)
    except (ValueError, TypeError, RecursionError, OverflowError):
        found = "something else" if one.type == "SECRET" else repr(value)[:60]
        raise Invalid(f"inputs.{one.id}", found, expected_of(one)) from None


def expected_of(one: Input) -> str:
    if one.type in ("SELECT", "ENUM"):
        return f"one of {', '.join(one.values)}"
    if one.type == "MULTISELECT":
        return f"a list of {', '.join(one.values)}"
    if one.type == "STRING" and one.validator:
        return f"text that fits {one.validator}"
    return EXPECTED.get(one.type, f"a value of the type {one.type}")


def string(one: Input, value: Any) -> str:
    if isinstance(value, dict | list):
        raise TypeError
    found = as_text(value)
    if one.validator and not re.fullmatch(one.validator, found[:CHECKED_CHARS]):
        raise ValueError
    return found


def secret(one: Input, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def integer(one: Input, value: Any) -> int:
    if isinstance(value, bool | float):
        raise TypeError
    return int(value)


def number(one: Input, value: Any) -> float:
    if isinstance(value, bool):
        raise TypeError
    return float(value)


def boolean(one: Input, value: Any) -> bool:
    found = value if isinstance(value, bool) else {"true": True, "false": False}.get(str(value).lower())
    if found is None:
        raise ValueError
    return found


def date(one: Input, value: Any) -> str:
    return dt.date.fromisoformat(value).isoformat()


def time(one: Input, value: Any) -> str:
    return dt.time.fromisoformat(value).isoformat()


def datetime(one: Input, value: Any) -> str:
    found = dt.datetime.fromisoformat(value)
    return (found if found.tzinfo else found.replace(tzinfo=dt.UTC)).isoformat()


def duration(one: Input, value: Any) -> str:
    if seconds(value) is None:
        raise ValueError
    return str(value)


def json_value(one: Input, value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def array(one: Input, value: Any) -> list[Any]:
    found = json.loads(value) if isinstance(value, str) else value
    if not isinstance(found, list):
        raise TypeError
    item = READERS.get(one.item_type)
    return [item(one, entry) for entry in found] if item is not None else found


def select(one: Input, value: Any) -> str:
    found = as_text(value)
    if found not in one.values:
        raise ValueError
    return found


def multiselect(one: Input, value: Any) -> list[str]:
    found = json.loads(value) if isinstance(value, str) else value
    if not isinstance(found, list):
        raise TypeError
    return [select(one, entry) for entry in found]


READERS: dict[str, Callable[[Input, Any], Any]] = {
    "STRING": string,
    "INT": integer,
    "FLOAT": number,
    "BOOLEAN": boolean,
    "BOOL": boolean,
    "DATE": date,
    "DATETIME": datetime,
    "TIME": time,
    "DURATION": duration,
    "JSON": json_value,
    "SELECT": select,
    "ENUM": select,
    "MULTISELECT": multiselect,
    "ARRAY": array,
    "SECRET": secret,
    "EMAIL": string,
    "URI": string,
}
EXPECTED = {
    "STRING": "text",
    "INT": "a whole number",
    "FLOAT": "a number",
    "BOOLEAN": "true or false",
    "BOOL": "true or false",
    "DATE": "a date such as 2026-11-21",
    "DATETIME": "a time such as 2026-11-21T14:00:00Z",
    "TIME": "a time of day such as 14:00:00",
    "DURATION": "a duration such as PT5M",
    "JSON": "JSON",
    "ARRAY": "a list",
    "SECRET": "text",
}
