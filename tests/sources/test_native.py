"""The native event at the door: what comes through, what is refused, and how it is said."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.model.errors import Invalid
from tocsin.model.event import SEVERITIES, Action
from tocsin.sources.draft import Draft
from tocsin.sources.native import decode_native

SUITE = sorted((Path(__file__).parents[2].parent / "shared/data/JSONTestSuite/test_parsing").glob("*.json"))
WHOLE: dict[str, Any] = {
    "id": "e1",
    "type": "run.failed",
    "source": "airflow",
    "pipeline": "etl/orders",
    "run_id": "2026-11-21T02:00",
    "stage": "load",
    "time": "2026-11-21T02:13:44.123+01:00",
    "severity": "critical",
    "title": "Load failed",
    "message": "two\nlines",
    "labels": {"env": "prod"},
    "data": {"rows": 12, "nested": [{"a": None}]},
    "links": {"run": "https://airflow.example.com/x?y=1#z"},
    "actions": [{"label": "Open", "url": "http://airflow.example.com", "style": "primary"}],
}


def refused(body: bytes) -> Invalid:
    with pytest.raises(Invalid) as caught:
        decode_native(body)
    return caught.value


def verdict(body: bytes) -> list[Draft] | Invalid:
    """Drafts or Invalid; any other exception fails the test."""
    try:
        return decode_native(body)
    except Invalid as error:
        return error


def event(**fields: Any) -> bytes:
    return json.dumps({"type": "run.failed"} | fields).encode()


def test_a_whole_event_arrives_whole() -> None:  # S4-03
    (draft,) = decode_native(json.dumps(WHOLE).encode())
    assert (draft.id, draft.type, draft.kind, draft.source) == ("e1", "run.failed", "run.failed", "airflow")
    assert (draft.pipeline, draft.run_id, draft.stage) == ("etl/orders", "2026-11-21T02:00", "load")
    assert draft.time_ms == 1_795_223_624_123  # 2026-11-21T01:13:44.123Z
    assert (draft.severity, draft.title, draft.message) == ("critical", "Load failed", "two\nlines")
    assert (draft.labels, draft.data, draft.links) == (WHOLE["labels"], WHOLE["data"], WHOLE["links"])
    assert draft.actions == (Action("Open", "http://airflow.example.com", "primary"),)


def test_a_type_is_enough_and_null_is_absent() -> None:
    (draft,) = decode_native(b'{"type":"run.failed"}')
    assert (draft.id, draft.time_ms, draft.source, draft.data, draft.actions) == (None, None, "http", {}, ())
    nothing = dict.fromkeys(name for name in WHOLE if name != "type")
    assert decode_native(event(**nothing)) == [draft]


@pytest.mark.parametrize(
    ("type_", "severity"),
    {
        "run.failed": "error",
        "task.failed": "error",
        "safety.rollback": "error",
        "run.exceeded": "warning",
        "run.warning": "warning",
        "run.missed": "warning",
        "run.succeeded": "info",
        "anything": "info",
    }.items(),
)
def test_severity_follows_the_kind_unless_it_is_said(type_: str, severity: str) -> None:
    assert decode_native(event(type=type_))[0].severity == severity
    assert decode_native(event(type=type_, severity="critical"))[0].severity == "critical"


def test_a_batch_keeps_its_order() -> None:
    drafts = decode_native(b'{"events":[{"type":"a","id":"1"},{"type":"b","id":"2"}]}')
    assert [draft.id for draft in drafts] == ["1", "2"]
    assert decode_native(b'{"events":[]}') == []


@pytest.mark.parametrize(
    ("body", "field", "found", "expected"),
    [
        (b'{"type":"a","severityy":"info"}', "severityy", "unknown field", "did you mean severity?"),
        (b'{"type":"a","severity":"urgent"}', "severity", '"urgent"', "info, warning, error or critical"),
        (b'{"type":1}', "type", "1", "run.failed"),
        (b"{}", "type", "nothing", "run.failed"),
        (b'{"type":""}', "type", '""', "after a letter"),
        (b'{"type":"1a"}', "type", '"1a"', "after a letter"),
        (b'{"type":"a\\n"}', "type", '"a\\n"', "after a letter"),
        (event(type="a" * 129), "type", "aaa", "128"),
        (b'{"type":"a","labels":{"ok":"x","env":3}}', "labels.env", "3", "strings"),
        (event(labels={"x" * 129: ""}), "labels.xxx", '""', "128"),
        (event(labels={"x": "y" * 513}), "labels.x", "yyy", "512"),
        (event(labels={str(n): "" for n in range(65)}), "labels", "an object of 65", "64"),
        (event(id=""), "id", '""', "1 to 256"),
        (event(source="s" * 257), "source", "sss", "256"),
        (event(pipeline="a\nb"), "pipeline", '"a\\nb"', "control"),
        (event(stage="a\u0085b"), "stage", "a", "control"),
        (event(title="t" * 513), "title", "ttt", "512"),
        (event(message="m" * 16385), "message", "mmm", "16384"),
        (event(data=[1]), "data", "an array of 1", "an object"),
        (event(time=1_700_000_000), "time", "1700000000", "RFC 3339"),
        (event(time="2026-11-21T02:00:00"), "time", "2026-11-21T02:00:00", "offset"),
        (event(time="2026-13-21T02:00:00Z"), "time", "2026-13-21", "RFC 3339"),
        (event(time="1969-12-31T23:59:59Z"), "time", "1969", "1970"),
        (event(time="9999-12-31T23:59:59-01:00"), "time", "9999", "9999"),
        (event(links={"run": "javascript:alert(1)"}), "links.run", "javascript", "http(s)"),
        (event(links={"run": "https://a.b/<script>"}), "links.run", "script", "http(s)"),
        (event(links={"run": "https:///x"}), "links.run", "https:///x", "http(s)"),
        (event(links={str(n): "http://x" for n in range(17)}), "links", "an object of 17", "16"),
        (event(actions=[{"label": "a", "url": "file:///etc"}]), "actions[0].url", "file:", "http(s)"),
        (event(actions=[{"label": "a", "url": "http://x", "colour": 1}]), "actions[0].colour", "unknown", "style"),
        (event(actions=[{"url": "http://x"}]), "actions[0].label", "nothing", "1 to 128"),
        (event(actions=[{"label": "a", "url": "http://x"}] * 11), "actions", "an array of 11", "10"),
        (b'{"events":[{"type":"a"},{"type":"a","severity":1}]}', "events[1].severity", "1", "info, warning"),
        (b'{"events":[{"type":"a","typ":1}]}', "events[0].typ", "unknown", "did you mean type?"),
        (b'{"events":[{"type":"a"},{"type":"a","data":{"x":["\\u0000"]}}]}', "events[1].data.x[0]", "u0000", "U+0000"),
        (b'{"events":{}}', "events", "an object of 0", "1000"),
        (b'{"events":[],"type":"a"}', "events", "beside", "alone"),
        (b'{"events":[' + b",".join([b'{"type":"a"}'] * 1001) + b"]}", "events", "1001", "1000"),
        (b"[]", "", "an array of 0", "a JSON object"),
        (b"null", "", "null", "a JSON object"),
        (b"", "", "an empty body", "a JSON object"),
        (b'{"type":"a",', "", "malformed JSON at byte 12", "a JSON object"),
        (b'{"type":"a"} x', "", "malformed JSON at byte 14", "a JSON object"),
        (b'{"type":"\xff"}', "", "not UTF-8 at byte 9", "UTF-8"),
        (b'\xef\xbb\xbf{"type":"a"}', "", "byte order mark", "UTF-8"),
        ('{"type":"a"}'.encode("utf-16"), "", "UTF-16", "UTF-8"),
        ('{"type":"a"}'.encode("utf-16-le"), "", "UTF-16", "UTF-8"),
        (b'{"type":"a","data":{"x":NaN}}', "", "malformed JSON at byte 24", "a JSON object"),
        (b'{"type":"a","data":{"x":1e400}}', "data", "out of range", "64 bits"),
        (b'{"type":"a","data":{"x":18446744073709551616}}', "data.x", "20 digits", "64 bits"),
        (b'{"type":"a","data":{"x":[-9223372036854775809]}}', "data.x[0]", "digits", "64 bits"),
        (b'{"type":"a","data":{"x":"\\ud800"}}', "", "malformed", "a JSON object"),
        (b'{"type":"a","data":{"\\u0000":1}}', "data.\\u0000", "u0000", "U+0000"),
        (b'{"type":"a","title":"a\\u0000"}', "title", "u0000", "U+0000"),
        (b'{"type":"a","labels":{"a":"\\u0000"}}', "labels.a", "u0000", "U+0000"),
    ],
)
def test_what_is_refused_names_field_found_and_expected(body: bytes, field: str, found: str, expected: str) -> None:
    error = refused(body)
    assert error.field.startswith(field) if field else error.field == ""
    assert found in error.found
    assert expected in error.expected
    assert error.status == 400


@pytest.mark.parametrize(
    "body",
    [
        rb'{"type":"a","message":"\\u0000"}',  # an escaped backslash, then u0000
        b'{"type":"a","data":{"x":18446744073709551615,"y":-9223372036854775808}}',
        b'{"type":"a","data":{"x":0.33333333333333333333333}}',
        b'{"type":"a","data":{"log":"' + b"[" * 100 + b'"}}',
        '{"type":"a","stage":"größe 数据 🚀"}'.encode(),
    ],
)
def test_what_only_looks_hostile_is_taken(body: bytes) -> None:
    assert len(decode_native(body)) == 1


def nested(levels: int) -> bytes:
    """An event of so many levels: itself, data and lists."""
    lists = levels - 2
    return b'{"type":"a","data":{"x":' + b"[" * lists + b"]" * lists + b"}}"


def test_nesting_ends_at_32_levels_whatever_the_depth() -> None:  # F39
    assert decode_native(nested(32))
    for levels in (33, 500, 2_000, 100_000):
        assert "nest" in refused(nested(levels)).found


def test_too_large_an_event_is_413_alone_and_in_a_batch() -> None:  # F39
    large = event(data={"x": "y" * (256 * 1024)})
    assert refused(large).status == 413
    error = refused(b'{"events":[{"type":"a"},' + large + b"]}")
    assert (error.status, error.field) == (413, "events[1]")
    half = event(data={"x": "y" * (200 * 1024)})
    assert len(decode_native(b'{"events":[' + half + b"," + half + b"]}")) == 2


@pytest.mark.parametrize("path", SUITE, ids=lambda path: path.name)
def test_every_file_of_the_json_suite_is_taken_or_refused(path: Path) -> None:  # S18: never another exception
    content = path.read_bytes()
    wrapped = b'{"type":"run.failed","data":{"x":' + content + b"}}"
    for body in (content, wrapped):
        found = verdict(body)
        if isinstance(found, Invalid):
            assert found.found
            assert found.expected
        else:
            assert found[0].kind == "run.failed"
    if path.name.startswith("n_"):
        refused(content)
        refused(wrapped)


def test_the_json_suite_is_there() -> None:
    assert len(SUITE) == 318


def test_taken_files_of_the_json_suite_are_most_of_the_valid_ones() -> None:
    """So that refusing everything would fail: what is valid and refused is hostile or is no value of one event."""
    valid = [path for path in SUITE if path.name.startswith("y_")]
    verdicts = [verdict(b'{"type":"a","data":{"x":' + path.read_bytes() + b"}}") for path in valid]
    refusals = [found for found in verdicts if isinstance(found, Invalid)]
    assert all("U+0000" in found.expected for found in refusals)
    assert len(refusals) < 5


text = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=20)
names = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=20)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=10,
)


@given(
    names.filter(bool),
    names,
    st.sampled_from(SEVERITIES),
    text,
    st.dictionaries(text.filter(bool), text, max_size=4),
    st.dictionaries(text, values, max_size=4),
    st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001
)
def test_what_goes_in_comes_out(
    id_: str, pipeline: str, severity: str, message: str, labels: dict[str, str], data: dict[str, Any], time: datetime
) -> None:
    whole = {
        "id": id_,
        "type": "x.y",
        "pipeline": pipeline,
        "severity": severity,
        "message": message,
        "time": time.isoformat(),
    }
    (draft,) = decode_native(json.dumps(whole | {"labels": labels, "data": data}).encode())
    assert (draft.id, draft.pipeline, draft.severity, draft.message) == (id_, pipeline, severity, message)
    assert (draft.labels, draft.data) == (labels, data)
    assert draft.time_ms == (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


@given(st.binary(max_size=60) | st.binary(max_size=40).map(lambda inner: b'{"type":"a","data":{"x":' + inner + b"}}"))
def test_no_bytes_raise_anything_else(body: bytes) -> None:
    found = verdict(body)
    assert found.detail if isinstance(found, Invalid) else found
