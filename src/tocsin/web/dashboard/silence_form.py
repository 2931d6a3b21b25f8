"""A silence as the fields of its form, and in words: pure functions."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from tocsin.model.errors import Invalid
from tocsin.web.dashboard.rule_form import DAYS, Fields, Form, Json, mute_of
from tocsin.web.dashboard.rule_words import hours
from tocsin.web.dashboard.spans import seconds_of
from tocsin.web.dashboard.wording import parsed

LASTS = ("30 min", "1 h", "2 h", "4 h", "1 d", "1 w")
UNTIL, ALWAYS, AS_IT_IS = "until", "always", "stays"
MATCHED = ("pipeline", "type", "kind", "severity", "source", "stage", "rule", "endpoint")
SHORT = "%Y-%m-%dT%H:%M"
"""What a browser's field for a time has: no zone, here always UTC."""


def fields_of(silence: Mapping[str, Any]) -> Fields:
    """Of one that there is: what is not touched stays."""
    found: Fields = {
        "field": [one["field"] for one in silence["matchers"]],
        "op": ["is not" if one.get("negate") else "is" for one in silence["matchers"]],
        "value": [one["value"] for one in silence["matchers"]],
        "lasts": [AS_IT_IS],
        "ends_at": [short(silence["ends_at"])],
        "reason": [silence["reason"]],
        "comment": [silence["comment"]],
    }
    for one in silence["hours"]:
        found.setdefault("mute.start", []).append(one["start"])
        found.setdefault("mute.end", []).append(one["end"])
        found.setdefault("mute.weekdays", []).append(", ".join(DAYS[day] for day in one.get("weekdays", ())))
        found.setdefault("mute.time_zone", []).append(one.get("time_zone", "UTC"))
    return found


def short(time: str | None) -> str:
    return parsed(time).strftime(SHORT) if time else ""


def new_fields(asked: Mapping[str, str]) -> Fields:
    """For a new one, from what a link says: `?pipeline=etl&for=2h`."""
    rows = [(name, value) for name, value in asked.items() if value and (name in MATCHED or name.startswith("labels."))]
    found: Fields = {"field": [], "op": [], "value": [], "lasts": [asked.get("lasts", "2 h")]}
    for name, value in rows[:20]:
        found["field"].append(name)
        found["op"].append("is")
        found["value"].append(value[:256])
    found["reason"] = [asked.get("reason", "")[:500]]
    return found


def matchers_of(fields: Mapping[str, Sequence[str]], *, strict: bool = True) -> list[Json]:
    """Raises Invalid. Unless `strict`, rows that are half filled in are passed over."""
    given = zip(*(fields.get(name, ()) for name in ("field", "op", "value")), strict=False)
    found = []
    for number, (field, op, value) in enumerate(given):
        if field.strip() and value.strip():
            found.append({"field": field.strip(), "value": value.strip(), "negate": op == "is not"})
        elif strict and field.strip():
            raise Invalid(f"matchers[{number}].value", "nothing", "a name, or a pattern with * and ?")
        elif strict and value.strip():
            raise Invalid(f"matchers[{number}].field", "nothing", f"{', '.join(MATCHED)} or labels.NAME")
    if strict and not found:
        raise Invalid("matchers", "nothing", "at least one thing that it is about")
    return found


def silence_of(fields: Mapping[str, Sequence[str]]) -> Json:
    """As the API takes it. Raises Invalid."""
    form = Form(fields)
    found: Json = {
        "matchers": matchers_of(fields),
        "hours": mute_of(form),
        "reason": form.text("reason"),
        "comment": form.text("comment"),
    }
    lasts = form.text("lasts")
    if lasts == UNTIL:
        found["ends_at"] = time_of("ends_at", form.text("ends_at"))
    elif lasts == ALWAYS:
        found["ends_at"] = None
    elif lasts != AS_IT_IS:
        found["duration_s"] = int(seconds_of("lasts", lasts) or 0)
    if form.has("starts_at"):
        found["starts_at"] = time_of("starts_at", form.text("starts_at"))
    return found


def time_of(field: str, text: str) -> str:
    """What a browser's field for a time says, in UTC."""
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError:
        raise Invalid(field, repr(text[:40]), "a time such as 2026-11-21T14:00") from None
    if found.tzinfo is None:
        found = found.replace(tzinfo=dt.UTC)
    return found.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")


def place_of(field: str) -> str:
    """The form's name of a field of the API."""
    head, _, _ = field.partition(".")
    if head.startswith("matchers[") and head[9:-1].isdigit():
        return f"row-{head[9:-1]}"
    for name in ("mute[", "hours["):
        if head.startswith(name) and head[len(name) : -1].isdigit():
            return f"mute-{head[len(name) : -1]}"
    return {"matchers": "row-0", "duration_s": "lasts"}.get(head, head)


# In words.


def said(silence: Mapping[str, Any]) -> str:
    """`pipeline=etl/* and env≠prod`."""
    return " and ".join(
        f"{one['field'].removeprefix('labels.')}{'≠' if one.get('negate') else '='}{one['value']}"
        for one in silence["matchers"]
    )


def comes(silence: Mapping[str, Any]) -> str:
    """Its hours, where it has any."""
    return ", ".join(hours(one).removeprefix("quiet ") for one in silence["hours"])


def command(silence: Mapping[str, Any]) -> str:
    """What the command line would be, up to how long."""
    parts = ["tocsin silence"]
    for one in silence["matchers"]:
        sign = "!=" if one.get("negate") else "="
        parts.append(f"-m {quoted(one['field'] + sign + one['value'])}")
    parts += [f"--hours {one['start']}-{one['end']}" for one in silence["hours"]]
    if silence.get("ends_at"):
        parts.append(f"--until {silence['ends_at']}")
    if silence.get("duration_s"):
        parts.append(f"--for {silence['duration_s']}s")
    return " ".join(parts) + (f" --reason {quoted(silence['reason'])}" if silence["reason"] else "")


def quoted(text: str) -> str:
    """For a shell."""
    return "'" + text.replace("'", "'\\''") + "'"
