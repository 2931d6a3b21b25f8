"""Rules in words: pure functions over rules as the API shows them."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from tocsin.web.dashboard.condition_rows import rows_of
from tocsin.web.dashboard.rule_form import DAYS
from tocsin.web.dashboard.spans import written
from tocsin.web.dashboard.wording import plural

Json = Mapping[str, Any]

MOST_NAMED = 3
FIELDS = {
    "name": "name",
    "is_active": "on or off",
    "event_types": "event types",
    "pipelines": "pipelines",
    "labels": "labels",
    "condition": "condition",
    "webhook_endpoint_ids": "endpoints",
    "retries": "failures of stages",
    "retry": "tries of a delivery",
    "rate_limit": "rate limit",
    "flood": "flood limit",
    "changes": "changes only",
    "window": "window",
    "group": "grouping",
    "watch": "watch",
    "schedule": "schedule",
    "mute": "mute hours",
    "templates": "own words",
}
"""What a person sets, in the order of the form."""


class Change(Struct, frozen=True):
    field: str
    before: str
    after: str


def asks(rule: Json) -> str:
    """`run.failed and env=prod`; `any event`."""
    rows, expression = rows_of(rule)
    said = [row_said(row.field, row.op, row.value) for row in rows]
    if rule["watch"]:
        said.insert(0, f"runs {watched(rule['watch'])}")
    if rule["schedule"]:
        said.insert(0, f"starts missed ({schedule(rule['schedule'])})")
    return " and ".join([*said, *([expression] if expression else [])]) or "any event"


def row_said(field: str, op: str, value: str) -> str:
    if op == "is" and field == "type":
        return value.replace(", ", " or ")
    if op == "is" and field == "pipeline":
        return f"in {value.replace(', ', ' or ')}"
    sign = {"is": "=", "is not": "≠", "<=": "≤", ">=": "≥", "<": "<", ">": ">"}.get(op)
    name = field.removeprefix("labels.").removeprefix("data.")
    if sign is None:
        return f"{name} {op} {value}"
    return f"{name}{sign}{value}" if sign in "=≠" else f"{name} {sign} {value}"


def tells(rule: Json, names: Mapping[str, str]) -> str:
    """`#ml-alerts, ana and 2 more`; `nobody`."""
    ids = rule["webhook_endpoint_ids"]
    found = [names.get(id_, "another endpoint") for id_ in ids]
    if len(found) > MOST_NAMED:
        return f"{', '.join(found[: MOST_NAMED - 1])} and {len(found) - MOST_NAMED + 1} more"
    return ", ".join(found) or "nobody"


# Noise.


def quiet(rule: Json) -> list[str]:
    """What it says about noise and time, a phrase each."""
    said = []
    if (changes := rule["changes"]) is not None:
        said.append("only changes" if changes.get("recovered", True) else "only the first failure")
    if (window := rule["window"]) is not None:
        said.append(window_said(window))
    if (group := rule["group"]) is not None:
        by = " and ".join(group.get("by", ("pipeline",))) or "rule"
        said.append(f"at most one per {by} every {written(group.get('interval_s', 300))}")
    if (flood := rule["flood"]) is not None:
        said.append(f"the rest in a summary beyond {flood['count']} in {written(flood.get('per_s', 60))}")
    if (rate := rule["rate_limit"]) is not None:
        said.append(f"no faster than {rate['count']} in {written(rate.get('per_s', 1))}")
    said += [hours(one) for one in rule["mute"]]
    if rule["retries"] != "silent":
        said.append("stages that are tried again are told")
    if rule["templates"]:
        said.append("own words")
    return said


def window_said(window: Json) -> str:
    if window["kind"] == "failures":
        within = window.get("within_s")
        return f"{plural(window['count'], 'failure')} {f'within {written(within)}' if within else 'in a row'}"
    if window["kind"] == "success_rate":
        return f"less than {100 * window['below']:.4g} % succeed"
    bounds = [
        f"{sign} {window[name]:g}" for name, sign in (("above", ">"), ("below", "<")) if window.get(name) is not None
    ]
    drop = [f"{100 * window['drop']:.4g} % worse than the best"] if window.get("drop") is not None else []
    return f"{window['name']} {' or '.join(bounds + drop)}"


def watched(watch: Json) -> str:
    found = []
    if watch.get("exceeded_s") is not None:
        found.append(f"longer than {written(watch['exceeded_s'])}")
    if watch.get("exceeded_p95_of") is not None:
        found.append(f"longer than the 95th percentile of {watch['exceeded_p95_of']}")
    if watch.get("shorter_s") is not None:
        found.append(f"shorter than {written(watch['shorter_s'])}")
    if watch.get("stalled_s") is not None:
        found.append(f"silent for {written(watch['stalled_s'])}")
    return " or ".join(found)


def schedule(given: Json) -> str:
    return given["cron"] if given.get("cron") else f"every {written(given.get('every_s'))}"


def hours(given: Json) -> str:
    days = ", ".join(DAYS[day] for day in given.get("weekdays", ()))
    said = f"quiet {given['start']} to {given['end']} {given.get('time_zone', 'UTC')}"
    return f"{said} ({days})" if days else said


# Versions.


def differences(before: Json, after: Json, names: Mapping[str, str]) -> list[Change]:
    """What is not the same in these two, of what people set."""
    return [
        Change(word, said(name, before.get(name), names), said(name, after.get(name), names))
        for name, word in FIELDS.items()
        if name in after and before.get(name) != after.get(name)
    ]


def said(name: str, value: Any, names: Mapping[str, str]) -> str:
    """A field's value in a line; "" of nothing."""
    if name == "is_active":
        return "on" if value else "off"
    if value in (None, "", [], {}, ()):
        return ""
    if name == "webhook_endpoint_ids":
        return ", ".join(names.get(id_, id_) for id_ in value)
    if name == "mute":
        return ", ".join(hours(one) for one in value)
    if name == "window":
        return window_said(value)
    if isinstance(value, dict):
        return ", ".join(f"{key.removesuffix('_s')}: {told(key, inner)}" for key, inner in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def told(name: str, value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{key} {told(key, inner)}" for key, inner in value.items())
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, int | float):
        return written(value) if name.endswith("_s") else f"{value:g}"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def version_at(now: Json, entries: Sequence[Json], number: int) -> dict[str, Any]:
    """The rule as entry `number` of the audit trail left it: what was changed later, undone. `entries` newest first."""
    found = dict(now)
    for entry in entries:
        if entry["number"] <= number:
            break
        found |= {name: value for name, value in (entry["before"] or {}).items() if name in FIELDS}
    return found


# Misses.

REASONS = (
    (re.compile(r"the type "), "event type"),
    (re.compile(r"the pipeline "), "pipeline"),
    (re.compile(r"(?:the event has no label |the label )(\S+)"), "labels.{}"),
)


def misses(reasons: Iterable[str]) -> list[tuple[str, int]]:
    """What of a rule did not fit first, and how often."""
    return Counter(map(missed, reasons)).most_common(6)


def missed(reason: str) -> str:
    for pattern, name in REASONS:
        if found := pattern.match(reason):
            return name.format(*found.groups())
    return (
        "condition" if "condition" in reason or reason.startswith(("data", "labels", "run", "event")) else reason[:80]
    )
