"""Mappings: paths to fields, and everything that a mapping can be told by mistake."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.model.errors import Invalid
from tocsin.sources import SOURCES
from tocsin.sources.incoming import Incoming, Taken
from tocsin.sources.mapping import Settings, check_settings, steps

MAPPING = {
    "type": {"path": "job.state", "map": {"DONE": "run.succeeded", "crash": "run.failed", "tick": ""}},
    "pipeline": {"text": "{team}/{job.name}"},
    "run_id": "job.id",
    "severity": {"path": "level", "map": {"5": "critical"}},
    "time": "at",
    "id": {"header": "X-Delivery"},
    "source": {"value": "lab"},
    "message": {"paths": ["error.text", "steps[-1].error"], "default": "nothing said"},
    "labels": {"env": 'meta["my.env"]', "none": "not.there"},
    "data": {"rows": "result.rows", "first": "steps[0]"},
    "links": {"run": "url"},
}
BODY = {
    "team": "ml", "job": {"id": 7, "name": "train", "state": "CRASH"}, "level": 5, "at": "2026-11-21T02:00:00Z",
    "steps": [{"name": "load"}, {"name": "fit", "error": "NaN"}], "meta": {"my.env": "prod"},
    "result": {"rows": 12}, "url": "https://lab.test/7",
}  # fmt: skip


def read(mapping: Any, body: Any, **headers: str) -> Taken:
    check_settings(msgspec.convert(mapping, Settings))
    return SOURCES["mapping"].read(Incoming(headers, json.dumps(body).encode(), {}, mapping))


def test_everything_a_mapping_can_say() -> None:
    (found,) = read(MAPPING, BODY, **{"x-delivery": "d1"}).drafts
    assert (found.type, found.kind, found.severity) == ("run.failed", "run.failed", "critical")
    assert (found.pipeline, found.run_id, found.id, found.source) == ("ml/train", "7", "d1", "lab")
    assert (found.message, found.labels, found.links) == ("NaN", {"env": "prod"}, {"run": "https://lab.test/7"})
    assert found.data == {"rows": 12, "first": {"name": "load"}}
    assert found.time_ms == 1_795_226_400_000


def test_what_the_mapping_leaves_out_is_ignored_and_says_why() -> None:
    assert read(MAPPING, BODY | {"job": {"state": "tick"}}).ignored == "the mapping names no type for 'tick'"
    assert read(MAPPING, BODY | {"job": {"state": "new"}}).ignored == "the mapping names no type for 'new'"
    assert read(MAPPING, {}).ignored == "there is nothing at job.state, so the event has no type"
    (found,) = read({"type": {"path": "s", "map": {"a": "b"}, "default": "run.progress"}}, {"s": "?"}).drafts
    assert found.kind == "run.progress"


def test_several_events_in_one_body() -> None:
    mapping = {"type": "kind", "items": "batch.events", "pipeline": "$.name", "data": "$"}
    body = {"name": "etl", "batch": {"events": [{"kind": "run.started"}, {}, {"kind": "run.failed", "n": 1}]}}
    found = read(mapping, body).drafts
    assert [(one.type, one.pipeline) for one in found] == [("run.started", "etl"), ("run.failed", "etl")]
    assert found[1].data == {"kind": "run.failed", "n": 1}
    with pytest.raises(Invalid, match="a list of events"):
        read(mapping, {"batch": 1})


@pytest.mark.parametrize(
    "path, found",
    [("a", ("a",)), ("a.b[0].c", ("a", "b", 0, "c")), ("$.a", ("a",)), ("$", ()), ("[1]", (1,)), ("$[0].a", (0, "a")),
     ('a["b.c"][-1]', ("a", "b.c", -1)), ("detail-type", ("detail-type",)), ("größe", ("größe",))],
)  # fmt: skip
def test_paths(path: str, found: tuple[str | int, ...]) -> None:
    assert steps(path) == found


@pytest.mark.parametrize(
    "path", ["a b", "a..b", ".a", "a[", "a[x]", "a[0", "a.", "[]", "a['b']", "$a", "a[99999999]", "a.b" * 50]
)
def test_what_is_no_path(path: str) -> None:
    with pytest.raises(ValueError, match=r"^"):
        steps(path)
    with pytest.raises(Invalid) as refused:
        check_settings(Settings(type=path))
    assert refused.value.field == "settings.type"


@pytest.mark.parametrize(
    "mapping, field",
    [
        ({"type": ""}, "settings.type"),
        ({"type": "a", "labels": {"x": "a b"}}, "settings.labels.x"),
        ({"type": {"path": "a", "value": "b"}}, "settings.type"),
        ({"type": {"header": "Authorization"}}, "settings.type.header"),
        ({"type": {"text": "{a b}"}}, "settings.type.text"),
        ({"type": "a", "items": "a b"}, "settings.items"),
    ],
)
def test_a_mapping_that_cannot_be(mapping: Any, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_settings(msgspec.convert(mapping, Settings))
    assert refused.value.field == field


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(list("abc")), inner, max_size=3),
)
PATH = st.lists(st.sampled_from(["a", "b", "[0]", "[-1]", '["c"]']), max_size=4).map(lambda parts: "$" + "".join(
    part if part.startswith("[") else f".{part}" for part in parts))  # fmt: skip


@given(PATH, PATH, ANY)
def test_a_path_leads_somewhere_or_nowhere_and_never_fails(one: str, other: str, body: Any) -> None:
    mapping = {"type": {"path": one, "default": "x"}, "title": {"text": f"{{{other}}}!"}, "data": {"d": other},
               "labels": {"l": other}, "links": {"k": one}, "time": other, "severity": other, "id": one}  # fmt: skip
    try:
        found = read(mapping, body).drafts
    except Invalid:
        assert not isinstance(body, dict | list)
        return
    assert all(one.title.endswith("!") for one in found)
