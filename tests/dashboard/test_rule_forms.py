"""Forms of rules and silences: what a form shows of a rule is what it makes of it again."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.model.errors import Invalid
from tocsin.web.api.alert_rules import RuleIn
from tocsin.web.dashboard.condition_rows import Row, asked_of, parsed, rows_of
from tocsin.web.dashboard.rule_form import fields_of, place_of, rule_of
from tocsin.web.dashboard.rule_words import asks, differences, missed, quiet, tells, version_at
from tocsin.web.dashboard.spans import seconds_of, written
from tocsin.web.exported import in_full

RULES: list[dict[str, Any]] = [
    {"name": "a"},
    {"name": "b", "event_types": ["run.failed", "a,b"], "pipelines": ["etl/*"], "labels": {"env": "prod", "a-b": "c"}},
    {"name": "c", "condition": 'event.severity == "error" && data.rows < 10', "is_active": False},
    {"name": "d", "condition": 'data.checks.exists(c, c.status == "failed")', "webhook_endpoint_ids": ["whk_1"]},
    {"name": "e", "changes": {}, "group": {"by": ["pipeline", "labels.env"], "wait_s": 1, "interval_s": 5400}},
    {"name": "f", "changes": {"recovered": False, "renotify_s": 3600, "flapping": None}, "group": {"by": []}},
    {"name": "g", "changes": {"flapping": {"changes": 4, "within_s": 90.5}}, "flood": {"count": 20}},
    {"name": "h", "window": {"kind": "failures", "count": 3, "within_s": 600}, "retries": "alert"},
    {"name": "i", "window": {"kind": "success_rate", "below": 0.9, "runs": 20, "recover": 0.95, "least": 5}},
    {"name": "j", "window": {"kind": "metric", "name": "accuracy", "drop": 0.02, "above": -1.5, "better": "lower"}},
    {"name": "k", "watch": {"exceeded_p95_of": 50, "factor": 1.5, "stalled_s": 900}, "rate_limit": {"count": 5}},
    {"name": "l", "pipelines": ["etl"], "schedule": {"cron": "0 2 * * *", "time_zone": "Europe/Berlin"}},
    {"name": "m", "mute": [{"start": "22:00", "end": "07:00"}, {"start": "00:00", "end": "23:59", "weekdays": [5, 6]}]},
    {"name": "n", "templates": {"title": "{{ event.pipeline }}", "fields": {"Rows": "{{ data.rows }}", "Who": "x"}}},
    {"name": "o", "retry": {"max_attempts": 3, "base_s": 1.5, "cap_s": 60}},
]  # fmt: skip


def whole(rule: dict[str, Any]) -> dict[str, Any]:
    return in_full(msgspec.convert(rule, RuleIn))


@pytest.mark.parametrize("rule", RULES, ids=[rule["name"] for rule in RULES])
def test_a_form_that_nobody_touched_is_the_rule(rule: dict[str, Any]) -> None:
    known = whole(rule)
    again = whole(rule_of(fields_of(known)))
    assert differences(known, again, {}) == []
    assert again == whole(rule_of(fields_of(again)))
    assert asks(known)
    assert isinstance(quiet(known), list)


CONDITIONS = {
    "data.rows < 10": [("data.rows", "<", "10")],
    'labels.env != "dev" && data.a >= 1.5': [("labels.env", "is not", "dev"), ("data.a", ">=", "1.5")],
    'data.a == "12"': [("data.a", "is", '"12"')],
    'event.title.contains("disk \\"full\\"")': [("title", "contains", 'disk "full"')],
    "a || b": [],
    'labels.env == "prod"': [],  # "is" of a label is a pattern, and no part of a condition
    "data.rows<10": [],
    "r'a && b' == data.x && data.y > 1": [],
    "data.x > 1 ? true : false": [],
}  # fmt: skip


@pytest.mark.parametrize("condition", CONDITIONS)
def test_rows_of_a_condition(condition: str) -> None:
    rows, rest = parsed(condition)
    assert [(row.field, row.op, row.value) for row in rows] == CONDITIONS[condition]
    assert asked_of(rows, rest).condition == condition


FIELDS = st.sampled_from(
    ("type", "pipeline", "severity", "title", "labels.env", "labels.a b", "data.rows", "run.status")
)
OPS = st.sampled_from(("is", "is not", "contains", "starts with", "<", ">="))
VALUES = st.text(min_size=1, max_size=20).map(str.strip).filter(lambda text: bool(text) and "\\" not in text)


@given(st.lists(st.builds(Row, FIELDS, OPS, VALUES), max_size=4), st.sampled_from(("", "a || b", "data.x > 1")))
def test_any_rows_make_a_rule_that_shows_the_same(rows: list[Row], expression: str) -> None:
    """Whatever stands in the rows, what is read back asks for the same."""
    asked = asked_of(rows, expression)
    rule = {"event_types": asked.event_types, "pipelines": asked.pipelines, "labels": asked.labels}
    again, rest = rows_of(rule | {"condition": asked.condition})
    assert asked_of(again, rest) == asked


def test_an_expression_of_halves_keeps_its_brackets() -> None:
    asked = asked_of([Row("data.rows", "<", "10")], "data.a == 1 || data.b == 2")
    assert asked.condition == "data.rows < 10 && (data.a == 1 || data.b == 2)"


@pytest.mark.parametrize(
    ("row", "field"),
    [(Row("rows", "is", "1"), "field[0]"), (Row("type", "like", "1"), "op[0]"), (Row("type", "is", " "), "value[0]")],
)
def test_what_is_wrong_in_a_row_is_named(row: Row, field: str) -> None:
    with pytest.raises(Invalid) as error:
        asked_of([row], "")
    assert error.value.field == field
    assert place_of(field, {}) == "row-0"
    assert asked_of([Row("type", "is", "")], "", strict=False).event_types == ()


def test_places_of_the_form() -> None:
    fields = {
        "field": ["type", "labels.env", "pipeline"], "op": ["is"] * 3, "value": ["a", "b", "c"],
        "window.kind": ["failures"],
    }  # fmt: skip
    places = {
        "event_types[1]": "row-0",
        "labels.env": "row-1",
        "pipelines[0]": "row-2",
        "window.count": "failures.count",
        "changes.flapping.within_s": "flapping.within_s",
        "mute[2].start": "mute-2",
        "templates.fields.Rows": "fact",
        "webhook_endpoint_ids[3]": "webhook_endpoint_ids",
        "condition": "condition",
        "group.by[0]": "group.by",
    }
    assert {field: place_of(field, fields) for field in places} == places
    assert place_of("pipelines", {}) == "schedule"


@given(st.floats(0.001, 10_000_000) | st.integers(0, 10_000_000))
def test_a_span_is_read_as_it_is_written(seconds: float) -> None:
    assert seconds_of("span", written(seconds)) == seconds


@pytest.mark.parametrize("text", ["soon", "10 parsecs", "-5", "1e5 s", "NaN"])
def test_what_is_no_span(text: str) -> None:
    with pytest.raises(Invalid, match="length of time"):
        seconds_of("span", text)


def test_rules_in_words() -> None:
    rule = whole(RULES[1] | {"webhook_endpoint_ids": ["a", "b", "c", "d", "e"]})
    assert (
        asks(whole({"name": "x", "event_types": ["run.failed"], "labels": {"env": "prod"}}))
        == "run.failed and env=prod"
    )
    assert tells(rule, {"a": "#ops", "b": "ana"}) == "#ops, ana and 3 more"
    assert tells(whole(RULES[0]), {}) == "nobody"
    assert quiet(whole(RULES[4])) == ["only changes", "at most one per pipeline and labels.env every 1 h 30 min"]
    assert missed("the label env is dev, not prod") == "labels.env"
    assert missed("the condition is false") == "condition"


def test_a_version_is_what_was_before_the_later_changes() -> None:
    now = {"name": "three", "condition": "c"}
    entries: list[dict[str, Any]] = [
        {"number": 9, "before": {"name": "two"}},
        {"number": 5, "before": {"name": "one", "condition": "a"}},
        {"number": 2, "before": None},
    ]
    assert version_at(now, entries, 9) == now
    assert version_at(now, entries, 5) == {"name": "two", "condition": "c"}
    assert version_at(now, entries, 2) == {"name": "one", "condition": "a"}
