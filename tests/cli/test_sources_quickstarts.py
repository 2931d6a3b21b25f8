"""Each quickstart of docs/sources.md, done as it is written there."""

import hashlib
import hmac
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import Job, Run, RunEvent, RunState

from tests.cli.conftest import Command
from tests.harness import Answer, Running
from tests.sources.payloads import samples

pytestmark = pytest.mark.anyio

PAGE = (Path(__file__).parents[2] / "docs/sources.md").read_text("utf-8")
BLOCKS = dict(re.findall(r"<!-- (\w+) -->\n```\w+\n(.*?)```", PAGE, re.DOTALL))
SECRET = "s3cret-of-the-service"


async def added(command: Command, kind: str) -> str:
    """The path of the address that the quickstart makes."""
    line = BLOCKS[kind].strip()
    assert line.startswith('printf %s "$SECRET" | tocsin ')
    done = await command(*shlex.split(line.partition("| tocsin ")[2]), stdin=SECRET.encode())
    assert done.code == 0, done.err
    return "/v1" + done.out.strip().partition("/v1")[2]


async def post(tocsin: Running, path: str, body: bytes, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await tocsin.client.with_token("").request("POST", path, data=body, headers=named)


def hexed(body: bytes) -> str:
    return hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    "kind, sample, header",
    [
        ("github", "workflow_run_completed", lambda body: {"x_hub_signature_256": f"sha256={hexed(body)}"}),
        ("gitlab", "pipeline-event", lambda body: {"x_gitlab_token": SECRET}),
        ("mlflow", "model_version.created", lambda body: {"x_mlflow_signature": f"sha256={hexed(body)}"}),
        ("dbt_cloud", "job_run_errored", lambda body: {"authorization": hexed(body)}),
    ],
)
async def test_an_address_for_a_service(tocsin: Running, command: Command, kind: str, sample: str, header: Any) -> None:
    path = await added(command, kind)
    (body,) = [file.read_bytes() for file in samples(kind) if sample in file.name]
    assert (await post(tocsin, path, body, **header(body))).ok(202)["accepted"] == 1
    (await post(tocsin, path, body)).problem(401)


async def test_alertmanagers_configuration(tocsin: Running) -> None:
    (receiver,) = yaml.safe_load(BLOCKS["alertmanager"])["receivers"]
    (hook,) = receiver["webhook_configs"]
    assert set(hook["http_config"]["authorization"]) == {"credentials"}
    path = "/v1" + hook["url"].partition("/v1")[2]
    for file in samples("alertmanager"):
        assert (await tocsin.client.request("POST", path, data=file.read_bytes())).ok(202)["ids"], file


async def test_openlineages_own_client(tocsin: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    given = dict(re.findall(r"(OPENLINEAGE_\w+)=\$(\w+)", BLOCKS["openlineage"]))
    assert given == {"OPENLINEAGE_URL": "TOCSIN_URL", "OPENLINEAGE_API_KEY": "TOCSIN_TOKEN"}
    monkeypatch.setenv("OPENLINEAGE_URL", tocsin.client.base)
    monkeypatch.setenv("OPENLINEAGE_API_KEY", tocsin.client.token)

    def work() -> None:
        client = OpenLineageClient()
        run, job = Run("01936893-9751-7b10-a4a7-cd7454722d0f"), Job("prod", "etl")
        for state in (RunState.START, RunState.FAIL):
            client.emit(RunEvent(eventType=state, eventTime="2026-11-21T02:00:00Z", run=run, job=job, producer="test"))
        client.close(5.0)

    await asyncio.to_thread(work)
    (ran,) = (await tocsin.client.get("/v1/runs")).ok()["items"]
    assert (ran["pipeline"], ran["status"]) == ("etl", "failed")


async def test_airflows_callback(tocsin: Running) -> None:
    words = shlex.split(BLOCKS["airflow"].replace("\\\n", " "))
    body = words[words.index("-d") + 1]
    assert words[1] == "$TOCSIN_URL/v1/ingest/airflow"
    taken = await tocsin.client.request("POST", "/v1/ingest/airflow", data=body.encode())
    assert taken.ok(202)["accepted"] == 1
    (event,) = (await tocsin.client.get("/v1/events")).ok()["items"]
    assert (event["kind"], event["data"]["will_retry"]) == ("stage.failed", True)
    assert json.loads(body)["state"] == "up_for_retry"


@pytest.mark.parametrize(
    "kind, folder, sample",
    [("cloudevents", "cloudevents", "json-format.07"), ("eventbridge", "aws", "FAILED"),
     ("nextflow", "nextflow", "weblog_02"), ("prefect", "prefect", "flow-run-events"),
     ("azuredevops", "azuredevops", "build")],
)  # fmt: skip
async def test_an_address_for_a_service_that_signs_nothing(
    tocsin: Running, command: Command, kind: str, folder: str, sample: str
) -> None:
    done = await command(*shlex.split(BLOCKS[kind].strip().removeprefix("tocsin ")))
    assert done.code == 0, done.err
    (body,) = [file.read_bytes() for file in samples(folder) if sample in file.name]
    assert (await post(tocsin, "/v1" + done.out.strip().partition("/v1")[2], body)).ok(202)["accepted"] >= 1


LAB = {"event": "training.error", "payload": {
    "project": "lab", "model": "lstm", "run_id": "r1", "message_id": "m1", "errors": [{"text": "NaN"}],
    "metrics": {"loss": 3.5}, "url": "https://lab.test/r1"}, "level": "FATAL"}  # fmt: skip


async def test_a_mapping_as_the_page_has_it(
    tocsin: Running, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mapping.json").write_text(BLOCKS["mapping"])
    preview, add = BLOCKS["mapping_add"].replace("@mapping.json", f"@{tmp_path}/mapping.json").strip().splitlines()
    line = preview.removeprefix("tocsin ").partition(" <")[0]
    shown = await command(*shlex.split(line), "-o", "json", stdin=json.dumps(LAB).encode())
    assert shown.code == 0, shown.err
    (event,) = json.loads(shown.out)
    assert (event["kind"], event["severity"], event["pipeline"]) == ("run.failed", "critical", "lab/lstm")
    quiet = await command(*shlex.split(line), stdin=b'{"event": "ping"}')
    assert (quiet.code, quiet.err) == (1, "tocsin: Nothing: the mapping names no type for 'ping'\n")
    path = "/v1" + (await command(*shlex.split(add.removeprefix("tocsin ")))).out.strip().partition("/v1")[2]
    assert [(await post(tocsin, path, json.dumps(LAB).encode())).ok(202)["accepted"] for _ in range(2)] == [1, 0]
    (kept,) = (await tocsin.client.get("/v1/events")).ok()["items"]
    assert {name: kept[name] for name in ("type", "message", "labels", "data")} == {
        "type": "training.failed", "message": "NaN", "labels": {"env": "lab"}, "data": {"loss": 3.5},
    }  # fmt: skip
    wrong = await command("sources", "add", "mapping", "--settings", '{"type": "a b"}')
    assert wrong.code == 2
    assert "settings.type" in wrong.err


async def test_a_run_with_a_retry_is_one_incident_and_one_alert(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/on-call")
    await tocsin.webhook(hook, enabled_events=["run.failed", "run.succeeded"])
    slack = tocsin.receiver.hook("/people")
    await tocsin.webhook(slack, enabled_events=["run.failed"])

    async def send(job: str, state: str, run: str, **facets: Any) -> None:
        body = {
            "eventType": state, "eventTime": "2026-11-21T02:00:00Z", "producer": "x",
            "run": {"runId": run, "facets": facets}, "job": {"namespace": "prod", "name": job},
        }  # fmt: skip
        (await tocsin.client.request("POST", "/api/v1/lineage", data=json.dumps(body).encode())).ok(202)

    parent = {"run": {"runId": "dag-1"}, "job": {"namespace": "prod", "name": "etl"}}
    await send("etl", "START", "dag-1")
    for attempt in (1, 2):
        tried = {"taskInstance": {"try_number": attempt}}
        await send("etl.load", "START", f"try-{attempt}", parent=parent, airflow=tried)
        await send(
            "etl.load", "FAIL", f"try-{attempt}", parent=parent, airflow=tried, errorMessage={"message": "no rows"}
        )
    await send("etl", "FAIL", "dag-1", errorMessage={"message": "task_failure"})
    await send("etl", "FAIL", "dag-1", errorMessage={"message": "task_failure"})
    await tocsin.settle()
    (message,) = hook.expect(1)
    slack.expect(1)
    assert (message.json["type"], message.json["run_id"]) == ("run.failed", "dag-1")
    (ran,) = (await tocsin.client.get("/v1/runs")).ok()["items"]
    (stage,) = (await tocsin.client.get(f"/v1/runs/{ran['id']}")).ok()["stages"]
    assert (stage["name"], stage["status"], stage["attempt"]) == ("load", "failed", 2)
