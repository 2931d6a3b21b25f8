"""A rule as the fields of its form, and a form as a rule: pure functions, each the other's reverse."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tocsin.model.errors import Invalid
from tocsin.web.dashboard.condition_rows import Row, asked_of, listed, rows_of, unlisted
from tocsin.web.dashboard.spans import seconds_of, written

Json = dict[str, Any]
Fields = dict[str, list[str]]
"""What a form sends: a field may come several times."""

WINDOWS = {
    "failures": ("count", "within_s"),
    "success_rate": ("below", "runs", "within_s", "recover", "least"),
    "metric": ("name", "above", "below", "drop", "better"),
}
SPANS = frozenset({
    "within_s", "wait_s", "interval_s", "per_s", "renotify_s", "exceeded_s", "shorter_s", "stalled_s", "every_s",
    "start_within_s", "finish_within_s", "base_s", "cap_s",
})  # fmt: skip
WORDS = frozenset({"name", "better", "cron", "time_zone"})
WATCHED = ("exceeded_s", "exceeded_p95_of", "shorter_s", "stalled_s")
WATCH = (*WATCHED, "factor", "least")
SCHEDULE = ("cron", "every_s", "time_zone", "start_within_s", "finish_within_s")
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


# A rule to its form.


def fields_of(rule: Mapping[str, Any]) -> Fields:
    """Of a rule as the API shows it."""
    rows, expression = rows_of(rule)
    found: Fields = {
        "name": [rule["name"]],
        "is_active": ["on"] if rule["is_active"] else [],
        "field": [row.field for row in rows],
        "op": [row.op for row in rows],
        "value": [row.value for row in rows],
        "condition": [expression],
        "webhook_endpoint_ids": list(rule["webhook_endpoint_ids"]),
        "retries": [rule["retries"]],
    }
    for name in ("retry", "rate_limit", "flood", "watch", "schedule"):
        found |= part_fields(name, rule[name] or {})
    if (group := rule["group"]) is not None:
        found |= {"group": ["on"], "group.by": [listed(group.get("by", ("pipeline",)))]}
        found |= part_fields("group", {name: value for name, value in group.items() if name != "by"})
    if (changes := rule["changes"]) is not None:
        flapping = changes.get("flapping", {})
        found |= {"changes": ["on"], "changes.renotify_s": [written(changes.get("renotify_s"))]}
        found |= {"changes.recovered": ["on"] if changes.get("recovered", True) else []}
        found |= {"changes.flapping": [] if flapping is None else ["on"]}
        found |= part_fields("flapping", flapping or {})
    if (window := rule["window"]) is not None:
        found |= {"window.kind": [window["kind"]]} | part_fields(window["kind"], window)
    for one in rule["mute"]:
        found.setdefault("mute.start", []).append(one["start"])
        found.setdefault("mute.end", []).append(one["end"])
        found.setdefault("mute.weekdays", []).append(", ".join(DAYS[day] for day in one.get("weekdays", ())))
        found.setdefault("mute.time_zone", []).append(one.get("time_zone", "UTC"))
    if (templates := rule["templates"]) is not None:
        found |= {"templates.title": [templates.get("title", "")], "templates.text": [templates.get("text", "")]}
        found |= {"fact": list(templates.get("fields", {})), "says": list(templates.get("fields", {}).values())}
    return found


def part_fields(prefix: str, part: Mapping[str, Any]) -> Fields:
    return {f"{prefix}.{name}": [shown(name, value)] for name, value in part.items() if name != "kind"}


def shown(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name in SPANS:
        return written(value)
    return str(value) if isinstance(value, str) else f"{value:.15g}"


# A form to a rule.


class Form:
    """Reads fields. Its methods raise Invalid with the name of the field in the form."""

    def __init__(self, fields: Mapping[str, Sequence[str]]) -> None:
        self.fields = fields

    def text(self, name: str) -> str:
        found = self.fields.get(name)
        return found[-1].strip() if found else ""

    def has(self, name: str) -> bool:
        return bool(self.text(name))

    def all(self, name: str) -> list[str]:
        return list(self.fields.get(name, ()))

    def value(self, prefix: str, name: str) -> Any:
        """As the API takes it; None of nothing."""
        field = f"{prefix}.{name}"
        text = self.text(field)
        if not text:
            return None
        if name in SPANS:
            return seconds_of(field, text)
        if name in WORDS:
            return text
        try:
            number = float(text)
        except ValueError:
            raise Invalid(field, repr(text[:40]), "a number") from None
        return int(number) if re.fullmatch(r"[-+]?[0-9]+", text) else number

    def part(self, prefix: str, names: Sequence[str]) -> Json:
        """What is filled in."""
        found = {name: self.value(prefix, name) for name in names}
        return {name: value for name, value in found.items() if value is not None}


def rule_of(fields: Mapping[str, Sequence[str]], *, strict: bool = True) -> Json:
    """A whole rule as the API takes it. Raises Invalid with the form's name of the field. Unless `strict`, what is only
    half filled in is passed over."""
    form = Form(fields)
    rows = rows_in(fields)
    asked = asked_of(rows, form.text("condition"), strict=strict)
    return {
        "name": form.text("name") or ("" if strict else "-"),
        "is_active": form.has("is_active"),
        "event_types": list(asked.event_types),
        "pipelines": list(asked.pipelines),
        "labels": asked.labels,
        "condition": asked.condition,
        "webhook_endpoint_ids": form.all("webhook_endpoint_ids"),
        "retries": form.text("retries") or "silent",
        "retry": form.part("retry", ("max_attempts", "base_s", "cap_s")) or None,
        "rate_limit": form.part("rate_limit", ("count", "per_s")) if form.has("rate_limit.count") else None,
        "flood": form.part("flood", ("count", "per_s")) if form.has("flood.count") else None,
        "changes": changes_of(form) if form.has("changes") else None,
        "window": window_of(form) if form.has("window.kind") else None,
        "group": group_of(form) if form.has("group") else None,
        "watch": form.part("watch", WATCH) if any(form.has(f"watch.{name}") for name in WATCHED) else None,
        "schedule": schedule_of(form),
        "mute": mute_of(form),
        "templates": templates_of(form),
    }


def rows_in(fields: Mapping[str, Sequence[str]]) -> list[Row]:
    given = (fields.get(name, ()) for name in ("field", "op", "value"))
    return [Row(field, op, value) for field, op, value in zip(*given, strict=False)]


def changes_of(form: Form) -> Json:
    """What is as it would be anyway is not said."""
    found = form.part("changes", ("renotify_s",))
    if not form.has("changes.recovered"):
        found["recovered"] = False
    if not form.has("changes.flapping"):
        found["flapping"] = None
    elif flapping := form.part("flapping", ("changes", "within_s")):
        found["flapping"] = flapping
    return found


def window_of(form: Form) -> Json:
    kind = form.text("window.kind")
    if kind not in WINDOWS:
        raise Invalid("window.kind", repr(kind[:20]), f"one of {', '.join(WINDOWS)}")
    return {"kind": kind} | form.part(kind, WINDOWS[kind])


def group_of(form: Form) -> Json:
    return {"by": unlisted(form.text("group.by"))} | form.part("group", ("wait_s", "interval_s"))


def schedule_of(form: Form) -> Json | None:
    if not form.has("schedule.cron") and not form.has("schedule.every_s"):
        return None
    return form.part("schedule", SCHEDULE)


def mute_of(form: Form) -> list[Json]:
    found = []
    given = zip(*(form.all(f"mute.{name}") for name in ("start", "end", "weekdays", "time_zone")), strict=False)
    for number, (start, end, weekdays, zone) in enumerate(given):
        if not start.strip() and not end.strip():
            continue
        days = [day_of(f"mute[{number}].weekdays", word) for word in unlisted(weekdays)]
        found.append({"start": start.strip(), "end": end.strip(), "weekdays": days, "time_zone": zone.strip() or "UTC"})
    return found


def day_of(field: str, word: str) -> int:
    if word[:3].lower() not in DAYS:
        raise Invalid(field, repr(word[:20]), "days such as mon, tue, sat")
    return DAYS.index(word[:3].lower())


def templates_of(form: Form) -> Json | None:
    title, text = form.text("templates.title"), form.text("templates.text")
    facts = zip(form.all("fact"), form.all("says"), strict=False)
    fields = {name.strip(): says for name, says in facts if name.strip() or says.strip()}
    return {"title": title, "text": text, "fields": fields} if title or text or fields else None


# What is wrong, where it stands in the form.


def place_of(field: str, fields: Mapping[str, Sequence[str]]) -> str:
    """The form's name of a field of the API: `row-2`, `failures.count`; "" where it has none."""
    if row := re.match(r"(?:field|op|value)\[([0-9]+)\]", field):
        return f"row-{row[1]}"
    if mute := re.match(r"mute\[([0-9]+)\]", field):
        return f"mute-{mute[1]}"
    head, _, rest = field.partition(".")
    name = {"event_types": "type", "event_type": "type", "pipelines": "pipeline"}.get(head.partition("[")[0])
    if name or head == "labels":
        wanted = name or field
        rows = [number for number, row in enumerate(rows_in(fields)) if row.field.strip() == wanted]
        return f"row-{rows[0]}" if rows else "schedule"  # which is of one pipeline
    if head == "window":
        return f"{Form(fields).text('window.kind')}.{rest}" if rest else "window.kind"
    if field.startswith("changes.flapping."):
        return field.removeprefix("changes.")
    if field.startswith("templates.fields"):
        return "fact"
    return field.partition("[")[0]
