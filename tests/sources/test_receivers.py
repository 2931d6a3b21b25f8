"""Receivers: what each makes of the samples, and that nothing makes one fail."""

import copy
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sources.payloads import ROOT, check_golden, samples, taken
from tocsin.model.errors import Refusal
from tocsin.model.event import KINDS
from tocsin.sources import SOURCES
from tocsin.sources.draft import Draft
from tocsin.sources.incoming import Incoming

FOLDERS = {
    "azuredevops": "azuredevops", "cdevents": "cdevents", "cloudevents": "cloudevents", "eventbridge": "aws",
    "nextflow": "nextflow", "prefect": "prefect", "tekton": "tekton",
}  # fmt: skip
"""Kinds by the folder of their samples."""
WITH_SAMPLES = ("alertmanager", "dbt_cloud", "gitlab", "mlflow", "openlineage")


@pytest.mark.parametrize("kind", WITH_SAMPLES)
def test_every_sample_is_read_as_it_should_be(kind: str, request: pytest.FixtureRequest) -> None:
    found = {file.name: taken(SOURCES[kind], file.read_bytes()) for file in samples(kind)}
    check_golden(kind, found, update=request.config.getoption("--update-golden"))


@pytest.mark.parametrize("kind", FOLDERS)
def test_every_sample_of_these_folders_is_read(kind: str, request: pytest.FixtureRequest) -> None:
    found = {file.name: taken(SOURCES[kind], file.read_bytes()) for file in samples(FOLDERS[kind])}
    check_golden(kind, found, update=request.config.getoption("--update-golden"))


def test_openlineages_own_examples_are_taken() -> None:
    files = [
        file for file in (ROOT / "../shared/data/openlineage").rglob("*.json") if '"eventType"' in file.read_text()
    ]
    for file in files:
        found = taken(SOURCES["openlineage"], file.read_bytes())
        assert "refused" not in found or "run" in found["refused"], (file, found)


# Stories that samples alone do not tell.


def lineage(job: str, state: str, run: str, *, parent: str = "", attempt: int = 0, error: str = "") -> dict[str, Any]:
    facets: dict[str, Any] = {}
    if parent:
        facets["parent"] = {"run": {"runId": parent}, "job": {"namespace": "prod", "name": "etl"}}
    if attempt:
        facets["airflow"] = {"taskInstance": {"try_number": attempt, "log_url": "https://airflow.test/log"}}
    if error:
        facets["errorMessage"] = {"message": error, "stackTrace": f"Traceback\n{error}"}
    run_ = {"runId": run, "facets": facets}
    return {
        "eventType": state,
        "eventTime": "2026-11-21T02:00:00Z",
        "run": run_,
        "job": {"namespace": "prod", "name": job},
    }


def draft(kind: str, body: Any, **headers: str) -> dict[str, Any]:
    (found,) = taken(SOURCES[kind], json.dumps(body).encode(), **headers)["drafts"]
    return dict(found)


def test_a_lineage_job_with_a_parent_is_a_stage_of_it() -> None:
    found = draft("openlineage", lineage("etl.load", "FAIL", "try-2", parent="dag-run", attempt=2, error="no rows"))
    assert (found["type"], found["pipeline"], found["run_id"], found["stage"]) == (
        "stage.failed",
        "etl",
        "dag-run",
        "load",
    )
    assert (found["data"]["stage_attempt"], found["data"]["error"]) == (2, "Traceback\nno rows")
    assert found["links"] == {"logs": "https://airflow.test/log"}
    assert draft("openlineage", lineage("etl", "ABORT", "dag-run"))["type"] == "run.cancelled"
    vague = lineage("etl", "FAIL", "dag-run", error="task_failure")
    del vague["run"]["facets"]["errorMessage"]["stackTrace"]
    assert "data" not in draft("openlineage", vague), "its tasks say more"


def test_a_dbt_run_that_failed_comes_twice_and_is_one() -> None:
    files = {file.name: json.loads(file.read_bytes()) for file in samples("dbt_cloud")}
    once, twice = files["job_run_errored.json"], copy.deepcopy(files["job_run_completed_but_errored.json"])
    twice["data"]["runId"] = once["data"]["runId"]
    assert draft("dbt_cloud", once)["id"] == draft("dbt_cloud", twice)["id"]


def test_an_alert_and_its_end_have_one_key() -> None:
    (file,) = [file for file in samples("alertmanager") if "msteams" in file.name]
    firing = json.loads(file.read_bytes())
    over = copy.deepcopy(firing)
    over["alerts"][0] |= {"status": "resolved", "endsAt": "2018-03-07T07:00:00Z"}
    began, ended = draft("alertmanager", firing), draft("alertmanager", over)
    assert (began["type"], began["severity"]) == ("alert.firing", "warning")
    assert (ended["type"], ended["kind"]) == ("alert.resolved", "alert.resolved")
    assert began["data"]["alert_key"] == ended["data"]["alert_key"]
    assert began["id"] != ended["id"]
    assert draft("alertmanager", firing)["id"] == began["id"]


@pytest.mark.parametrize(
    "fields, type_, data",
    [
        ({"state": "failed"}, "run.failed", {}),
        ({"state": "up_for_retry", "task_id": "load", "try_number": 1}, "stage.failed", {"will_retry": True}),
        ({"state": "upstream_failed", "task_id": "load"}, "stage.skipped", {}),
        ({"state": "success", "task_id": "load", "map_index": 3}, "stage.succeeded", {"map_index": 3}),
        ({"state": "running"}, "run.started", {}),
    ],
)
def test_airflows_states(fields: dict[str, Any], type_: str, data: dict[str, Any]) -> None:
    found = draft("airflow", {"dag_id": "etl", "run_id": "r1"} | fields)
    assert (found["type"], found["pipeline"], found["run_id"]) == (type_, "etl", "r1")
    assert data.items() <= found.get("data", {}).items()


def test_gitlabs_ways_to_sign() -> None:
    signed = SOURCES["gitlab"].signed
    assert signed is not None
    assert signed(Incoming({"x-gitlab-token": "s3cret"}, b"{}"), "s3cret")
    assert not signed(Incoming({"x-gitlab-token": "other"}, b"{}"), "s3cret")
    assert not signed(Incoming({}, b"{}"), "s3cret")


def test_mlflows_signature() -> None:
    import base64
    import hashlib
    import hmac

    signed = SOURCES["mlflow"].signed
    assert signed is not None
    given = base64.b64encode(hmac.new(b"k", b"d1.123.{}", hashlib.sha256).digest()).decode()
    headers = {"x-mlflow-signature": f"v1,{given}", "x-mlflow-delivery-id": "d1", "x-mlflow-timestamp": "123"}
    assert signed(Incoming(headers, b"{}"), "k")
    for wrong in (headers | {"x-mlflow-timestamp": "124"}, headers | {"x-mlflow-signature": f"v2,{given}"}, {}):
        assert not signed(Incoming(wrong, b"{}"), "k")
    old = "sha256=" + hmac.new(b"k", b"{}", hashlib.sha256).hexdigest()
    assert signed(Incoming({"x-mlflow-signature": old}, b"{}"), "k")


# Whatever comes.

ODD: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    | st.sampled_from(["", "\x00", "\ud800", "a" * 70_000, "javascript:alert(1)", "0001-01-01T00:00:00Z", 10**400]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
BODIES = [(kind, json.loads(file.read_bytes())) for kind in (*WITH_SAMPLES, "github") for file in samples(kind)]
BODIES += [(kind, json.loads(file.read_bytes())) for kind, folder in FOLDERS.items() for file in samples(folder)]
BODIES.append(("airflow", {"dag_id": "a", "run_id": "b", "state": "failed", "task_id": "c", "try_number": 1}))


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(one for key, item in inner for one in places(item, (*path, key)))][:400]


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_nothing_that_comes_makes_a_receiver_fail(data: st.DataObject) -> None:
    kind, body = data.draw(st.sampled_from(BODIES))
    body = copy.deepcopy(body)
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(places(body)))
        odd = data.draw(ODD)
        if not path:
            body = odd
            continue
        of = body
        for key in path[:-1]:
            of = of[key]
        of[path[-1]] = odd
    raw = json.dumps(body, allow_nan=False, default=str) if finite(body) else json.dumps(str(body))
    try:
        found = SOURCES[kind].read(Incoming({}, raw.encode("utf-8", "surrogatepass")))
    except Refusal:
        return
    for one in found.drafts:
        check_valid(one)


def finite(value: Any) -> bool:
    if isinstance(value, dict):
        return all(finite(one) for one in value.values())
    if isinstance(value, list):
        return all(finite(one) for one in value)
    return not isinstance(value, float) or value - value == 0


def check_valid(one: Draft) -> None:
    """What the native door would take: so both stores hold it, and people can be shown it."""
    from tocsin.sources.native import decode_native

    fields: dict[str, Any] = {name: value for name, value in msgspec.to_builtins(one).items() if value}
    fields.pop("kind")
    fields.pop("time_ms", None)
    (again,) = decode_native(msgspec.json.encode(fields))
    assert one.kind in KINDS
    assert again.kind in (one.kind, "other")  # a service may say more than its type does
