"""CloudEvents in its three HTTP modes, with the examples of the specification and of its conformance suite."""

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tocsin.model.errors import Invalid
from tocsin.model.event import Action
from tocsin.sources.cloudevents import (
    BATCH,
    STRUCTURED,
    decode_cloudevents,
    is_cloudevents,
    kind_of_cloudevent,
)
from tocsin.sources.draft import Draft

DATA = Path(__file__).parents[2].parent / "shared/data"
SAMPLES = DATA / "payloads/cloudevents"
CORE = {"specversion": "1.0", "type": "run.failed", "source": "/etl", "id": "1"}


def one(**fields: Any) -> Draft:
    (draft,) = decode_cloudevents({}, STRUCTURED, json.dumps(CORE | fields).encode())
    return draft


def refused(headers: dict[str, str], content_type: str, body: bytes) -> Invalid:
    with pytest.raises(Invalid) as caught:
        decode_cloudevents(headers, content_type, body)
    return caught.value


def binary(content_type: str, body: bytes, **more: str) -> Draft:
    headers = {f"ce-{name}": value for name, value in (CORE | more).items()}
    (draft,) = decode_cloudevents(headers, content_type, body)
    return draft


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8"])
def test_the_conformance_feature_of_binary_mode(content_type: str) -> None:
    feature = (DATA / "cloudevents-conformance/features_http-protocol-binding.feature.txt").read_text()
    headers = {name: value.strip() for name, value in re.findall(r"(ce-\w+): (.*)", feature)}
    assert is_cloudevents(headers, content_type)
    (draft,) = decode_cloudevents(headers, content_type, b'{\n "message": "Hello World!"\n}')
    assert (draft.id, draft.source) == ("1234-1234-1234", "/mycontext/subcontext")
    assert (draft.type, draft.kind, draft.time_ms) == ("com.example.someevent", "other", 1_522_900_584_000)
    assert draft.message == "Hello World!"


@pytest.mark.parametrize("content_type", [STRUCTURED, f"{STRUCTURED}; charset=utf-8", "Application/CloudEvents+JSON"])
def test_structured_mode_says_the_same(content_type: str) -> None:
    assert is_cloudevents({}, content_type)
    body = json.dumps(CORE | {"time": "2018-04-05T03:56:24Z", "data": {"rows": 1}}).encode()
    (draft,) = decode_cloudevents({}, content_type, body)
    assert draft == binary("application/json", b'{"rows":1}', time="2018-04-05T03:56:24Z")


@pytest.mark.parametrize(
    ("name", "data"),
    {
        "json-format.01_com.example.someevent.json": {"base64": "... base64 encoded string ..."},
        "json-format.03_com.example.someevent.json": {"appinfoA": "abc", "appinfoB": 123, "appinfoC": True},
        "json-format.05_com.example.someevent.json": {"value": "I'm just a string"},
    }.items(),
)
def test_the_examples_of_the_json_format(name: str, data: dict[str, Any]) -> None:
    (draft,) = decode_cloudevents({}, STRUCTURED, (SAMPLES / name).read_bytes())
    assert draft.data == data
    assert draft.labels == {"ce_comexampleextension1": "value", "ce_comexampleothervalue": "5"}
    assert draft.time_ms == 1_522_949_460_000


def test_the_example_of_the_batch_format() -> None:
    drafts = decode_cloudevents({}, BATCH, (SAMPLES / "json-format.07_.json").read_bytes())
    assert [draft.id for draft in drafts] == ["B234-1234-1234", "C234-1234-1234"]
    assert decode_cloudevents({}, BATCH, b"[]") == []


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("primer*")), ids=lambda path: path.name[:12])
def test_what_is_no_cloudevent_says_what_it_lacks(path: Path) -> None:
    assert refused({}, STRUCTURED, path.read_bytes()).field == "specversion"


@pytest.mark.parametrize(
    ("content_type", "body", "data"),
    [
        ("text/plain; charset=us-ascii", b"Hello, World!", {"text": "Hello, World!"}),
        ("text/plain; charset=utf-8", "Hello, 🌎!".encode(), {"text": "Hello, 🌎!"}),
        ("application/json; charset=utf-8", '"Hello, 🌎!"'.encode(), {"value": "Hello, 🌎!"}),
        ("application/json", b'{"msg":"Hello"}', {"msg": "Hello"}),
        ("application/vnd.acme+json", b"[1]", {"value": [1]}),
        ("application/xml; charset=utf-8", b"<msg/>", {"text": "<msg/>"}),
        ("application/octet-stream", b"\xff\x00", {"base64": "/wA="}),
        ("application/json", b"", {}),
        ("", b"", {}),
    ],
)
def test_data_of_binary_mode_by_content_type(content_type: str, body: bytes, data: dict[str, Any]) -> None:
    assert binary(content_type, body).data == data


def test_base64_data_is_decoded_where_it_says_json() -> None:
    encoded = base64.b64encode(b'{"rows":1}').decode()
    assert one(data_base64=encoded, datacontenttype="application/json").data == {"rows": 1}
    assert one(data_base64=encoded).data == {"base64": encoded}


def test_headers_are_percent_decoded() -> None:
    draft = binary("", b"", source="/a%20b", euro="%E2%82%AC", latin="caf\u00c3\u00a9")  # the last: UTF-8 unencoded
    assert draft.source == "/a b"
    assert draft.labels == {"ce_euro": "€", "ce_latin": "café"}


def test_extensions_come_first_then_data_then_subject() -> None:
    draft = one(
        subject="from-subject",
        pipeline="etl",
        stage="load",
        severity="critical",
        title="T",
        runid="r1",
        dataref="https://x",
        data={"pipeline": "other", "run_id": "other", "message": "why", "labels": {"env": "prod"}, "rows": 1},
    )
    assert (draft.pipeline, draft.run_id, draft.stage, draft.severity) == ("etl", "r1", "load", "critical")
    assert (draft.title, draft.message, draft.data) == ("T", "why", {"rows": 1})
    assert draft.labels == {"env": "prod", "ce_subject": "from-subject", "ce_dataref": "https://x"}
    assert one(subject="s", data={"run_id": "r2"}).run_id == "r2"
    assert one(subject="s").run_id == "s"
    assert one(subject=None).run_id == ""


def test_what_does_not_hold_in_data_stays_data() -> None:
    data = {
        "title": 5,
        "severity": "sev1",
        "links": {"x": "javascript:alert(1)"},
        "actions": [{"label": "x"}],
        "stage": "a\nb",
        "labels": ["x"],
    }
    draft = one(data=data, severity="sev2")
    assert draft.data == data
    assert (draft.severity, draft.labels) == ("error", {"ce_severity": "sev2"})


def test_links_and_actions_in_data_are_taken() -> None:
    draft = one(data={"links": {"run": "https://x.y"}, "actions": [{"label": "Open", "url": "https://x.y"}]})
    assert (draft.links, draft.actions, draft.data) == ({"run": "https://x.y"}, (Action("Open", "https://x.y"),), {})


@pytest.mark.parametrize(
    ("type_", "kind"),
    {
        "run.failed": "run.failed",
        "com.acme.pipeline.run.failed": "run.failed",
        "com.acme.training.complete": "run.succeeded",
        "dev.tekton.event.taskrun.failed.v1": "stage.failed",
        "dev.tekton.event.pipelinerun.started.v1": "run.started",
        "com.acme.hpo.campaign_failed": "run.failed",
        "com.acme.rollout.stage.advanced": "rollout.advanced",
        "com.github.pull_request.opened": "other",
        "com.example.someevent": "other",
    }.items(),
)
def test_reversed_domains_do_not_hide_the_kind(type_: str, kind: str) -> None:
    assert kind_of_cloudevent(type_) == kind


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"specversion": "0.3"}, "specversion"),
        ({"specversion": 1.0}, "specversion"),
        ({"id": ""}, "id"),
        ({"id": None}, "id"),
        ({"id": 7}, "id"),
        ({"id": "a\nb"}, "id"),
        ({"source": "s" * 257}, "source"),
        ({"type": "no spaces"}, "type"),
        ({"time": "yesterday"}, "time"),
        ({"time": "1960-01-01T00:00:00Z"}, "time"),
        ({"data": 1, "data_base64": "eA=="}, "data_base64"),
        ({"data_base64": "!", "datacontenttype": "application/json"}, "data_base64"),
        ({"data_base64": 1}, "data_base64"),
        ({"data": {"x": "\x00"}}, "data.x"),
        ({"data": {"x": 2**64}}, "data.x"),
        ({"extra": "\x00"}, "extra"),
        ({f"x{number}": "" for number in range(65)}, "extensions"),
    ],
)
def test_what_is_refused_names_the_attribute(fields: dict[str, Any], field: str) -> None:
    assert refused({}, STRUCTURED, json.dumps(CORE | fields).encode()).field == field
    batch = json.dumps([CORE, CORE | fields]).encode()
    assert refused({}, BATCH, batch).field == f"[1].{field}"


def test_other_refusals() -> None:
    assert refused({}, "application/cloudevents+avro", b"x").status == 415
    assert refused({}, STRUCTURED, b"{" + b" " * 262_144 + b"}").status == 413
    assert refused({}, BATCH, json.dumps([CORE, CORE | {"data": "x" * 262_144}]).encode()).status == 413
    assert "an array" in refused({}, BATCH, b"{}").expected
    assert "1001" in refused({}, BATCH, json.dumps([CORE] * 1001).encode()).found
    assert refused({}, STRUCTURED, b"{").found.startswith("malformed JSON")
    assert "nest" in refused({}, STRUCTURED, b"[" * 100_000).found
    headers = {f"ce-{name}": value for name, value in CORE.items()}
    assert refused(headers | {"ce-x": "%ff"}, "", b"").field == "ce-x"
    assert refused(headers, "text/plain", b"\xff").field == "data"
    assert refused(headers, "text/plain", b"\x00").field == "data.text"
    assert not is_cloudevents({}, "application/json")
