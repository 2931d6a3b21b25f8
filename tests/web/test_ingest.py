"""The doors for other services: with a token, or at an address of their own."""

import base64
import gzip
import hashlib
import hmac
import json
import re
from typing import Any

import pytest

from tests.harness import Answer, Running
from tests.sources.payloads import samples

pytestmark = pytest.mark.anyio

(RUN,) = [file.read_bytes() for file in samples("github") if "workflow_run_completed" in file.name]


async def ingest(tocsin: Running, path: str, body: bytes, *, token: str | None = "", **headers: str) -> Answer:
    client = tocsin.client if token is None else tocsin.client.with_token(token)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.request("POST", path, data=body, headers=named)


async def source(tocsin: Running, **fields: Any) -> dict[str, Any]:
    made: dict[str, Any] = (await tocsin.client.post("/v1/sources", {"kind": "github", "name": "ci"} | fields)).ok(201)
    return made | {"path": "/v1" + made["url"].partition("/v1")[2]}


async def test_a_service_with_a_token_leads_to_a_message(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/ci")
    await tocsin.webhook(hook, enabled_events=["run.succeeded"])
    first = (await ingest(tocsin, "/v1/ingest/github", RUN, token=None)).ok(202)
    again = (await ingest(tocsin, "/v1/ingest/github", RUN, token=None)).ok(202)
    assert (first["accepted"], again["accepted"], again["duplicates"]) == (1, 0, 1)
    assert first["ids"] == again["ids"]
    await tocsin.settle()
    (message,) = hook.expect(1)
    assert message.json["pipeline"].startswith("octo-org/octo-repo/")


async def test_the_token_may_be_a_password(tocsin: Running) -> None:
    given = base64.b64encode(f"anything:{tocsin.client.token}".encode()).decode()
    assert (await ingest(tocsin, "/v1/ingest/github", RUN, authorization=f"Basic {given}")).ok(202)["accepted"] == 1
    for wrong in ("Basic !", "Basic " + base64.b64encode(b"a:b").decode(), "Bearer", "", "Basic w6k="):
        (await ingest(tocsin, "/v1/ingest/github", RUN, authorization=wrong)).problem(401)


async def test_an_address_of_its_own_and_a_signature(tocsin: Running) -> None:
    made = await source(tocsin, secret="s3cret")
    assert re.search(r"/v1/ingest/github/[\w-]{43}$", made["url"])
    signature = "sha256=" + hmac.new(b"s3cret", RUN, hashlib.sha256).hexdigest()
    taken = await ingest(tocsin, made["path"], RUN, x_hub_signature_256=signature)
    assert taken.ok(202)["accepted"] == 1
    for wrong in ("", "sha256=00", signature[:-1] + "0"):
        (await ingest(tocsin, made["path"], RUN, x_hub_signature_256=wrong)).problem(401)
    (await ingest(tocsin, made["path"], RUN + b" ", x_hub_signature_256=signature)).problem(401)
    shown = (await tocsin.client.get(f"/v1/sources/{made['id']}")).ok()
    assert "url" not in shown
    assert "s3cret" not in json.dumps(shown)


async def test_what_a_key_opens_and_no_longer(tocsin: Running) -> None:
    made = await source(tocsin)
    (await ingest(tocsin, made["path"].replace("/github/", "/gitlab/"), RUN)).problem(404)
    (await ingest(tocsin, made["path"] + "x", RUN)).problem(404)
    (await tocsin.client.patch(f"/v1/sources/{made['id']}", {"is_active": False})).ok()
    (await ingest(tocsin, made["path"], RUN)).problem(403)
    (await tocsin.client.patch(f"/v1/sources/{made['id']}", {"is_active": True, "name": "main"})).ok()
    rotated = (await tocsin.client.post(f"/v1/sources/{made['id']}/rotate")).ok()
    (await ingest(tocsin, made["path"], RUN)).problem(404)
    path = "/v1" + rotated["url"].partition("/v1")[2]
    assert (await ingest(tocsin, path, RUN)).ok(202)["accepted"] == 1
    assert (await tocsin.client.delete(f"/v1/sources/{made['id']}")).status == 204
    (await ingest(tocsin, path, RUN)).problem(404)
    assert (await tocsin.client.get("/v1/sources")).ok()["items"] == []


@pytest.mark.parametrize(
    "fields, field",
    [
        ({"kind": "nothing"}, "kind"),
        ({"settings": {"a": 1}}, "settings"),
        ({"name": ""}, "name"),
        ({"more": 1}, "more"),
    ],
)
async def test_a_source_that_cannot_be(standing: Running, fields: dict[str, Any], field: str) -> None:
    given = {"kind": "github", "name": "ci"} | fields
    (await standing.client.post("/v1/sources", given)).problem(400, field)


async def test_what_is_not_of_interest_says_so(tocsin: Running) -> None:
    said = (await ingest(tocsin, "/v1/ingest/github", b'{"zen": "x"}', token=None, x_github_event="ping")).ok(202)
    assert (said["accepted"], said["ignored"]) == (0, "GitHub's first call: the address works")


async def test_packed_bodies(tocsin: Running) -> None:
    path = "/v1/ingest/github"
    assert (await ingest(tocsin, path, gzip.compress(RUN), token=None, content_encoding="gzip")).ok(202)[
        "accepted"
    ] == 1
    bomb = gzip.compress(b"0" * 50_000_000)
    (await ingest(tocsin, path, bomb, token=None, content_encoding="gzip")).problem(413)
    (await ingest(tocsin, path, RUN, token=None, content_encoding="gzip")).problem(400)
    (await ingest(tocsin, path, gzip.compress(RUN)[:-9], token=None, content_encoding="gzip")).problem(400)
    (await ingest(tocsin, path, RUN, token=None, content_encoding="br")).problem(415)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"x"', b"\xff", b"[" * 100_000])
async def test_what_is_no_json_object(standing: Running, body: bytes) -> None:
    (await ingest(standing, "/v1/ingest/github", body, token=None)).problem(400)


async def test_who_may_not(tocsin: Running) -> None:
    (await ingest(tocsin, "/v1/ingest/github", RUN)).problem(401)
    viewer = (await tocsin.client.post("/v1/tokens", {"name": "v", "role": "viewer"})).ok(201)["token"]
    (await ingest(tocsin, "/v1/ingest/github", RUN, token=viewer)).problem(403)
    (await ingest(tocsin, "/v1/ingest/nothing", RUN, token=None)).problem(404)


async def test_a_mapping_is_its_source_s(tocsin: Running) -> None:
    settings = {"type": {"path": "state", "map": {"bad": "run.failed"}}, "pipeline": "job", "id": "n"}
    made = await source(tocsin, kind="mapping", settings=settings)
    hook = tocsin.receiver.hook("/lab")
    await tocsin.webhook(hook, enabled_events=["run.failed"])
    body = b'{"state": "bad", "job": "train", "n": 7}'
    assert [(await ingest(tocsin, made["path"], body)).ok(202)["accepted"] for _ in range(2)] == [1, 0]
    assert (await ingest(tocsin, made["path"], b'{"state": "good"}')).ok(202)["ignored"]
    await tocsin.settle()
    (message,) = hook.expect(1)
    assert message.json["pipeline"] == "train"
    (await ingest(tocsin, "/v1/ingest/mapping", body, token=None)).problem(400, "settings")
    given = {"kind": "mapping", "name": "x", "settings": {"type": "a b"}}
    (await tocsin.client.post("/v1/sources", given)).problem(400, "settings.type")
    (await tocsin.client.patch(f"/v1/sources/{made['id']}", {"settings": {"tpye": "a"}})).problem(400, "settings.tpye")


async def test_a_stage_that_names_its_run_alone_is_told_with_its_pipeline(tocsin: Running) -> None:
    for name in ("weblog_02", "weblog_03"):
        (file,) = [file for file in samples("nextflow") if name in file.name]
        (await ingest(tocsin, "/v1/ingest/nextflow", file.read_bytes(), token=None)).ok(202)
    (run,) = (await tocsin.client.get("/v1/runs?pipeline=nf-core/hlatyping")).ok()["items"]
    found = (await tocsin.client.get(f"/v1/runs/{run['id']}")).ok()
    assert [stage["name"] for stage in found["stages"]] == ["make_ot_config"]


async def test_nobody_speaks_as_tocsin_itself(tocsin: Running) -> None:
    event = {"specversion": "1.0", "id": "1", "source": "tocsin", "type": "run.missed"}
    (await ingest(tocsin, "/v1/ingest/cloudevents", json.dumps(event).encode(), token=None)).problem(400, "source")


async def test_what_a_request_would_become(tocsin: Running) -> None:
    settings = {"type": "s", "labels": {"env": "e"}}
    given = {"kind": "mapping", "body": {"s": "run.failed", "e": "prod"}, "settings": settings}
    found = (await tocsin.client.post("/v1/sources/preview", given)).ok()
    assert [(one["type"], one["severity"], one["labels"]) for one in found["events"]] == [
        ("run.failed", "error", {"env": "prod"})
    ]
    assert (await tocsin.client.post("/v1/sources/preview", given | {"body": {}})).ok()["ignored"]
    (await tocsin.client.post("/v1/sources/preview", given | {"settings": {"type": "a b"}})).problem(
        400, "settings.type"
    )
    (await tocsin.client.post("/v1/sources/preview", {"kind": "github", "body": []})).problem(400)
    assert (await tocsin.client.get("/v1/events")).ok()["items"] == []


async def test_an_event_that_is_too_large_is_told_without_its_bulk(tocsin: Running) -> None:
    detail = {"jobName": "load", "jobRunId": "jr_1", "state": "stopped", "bulk": [["x" * 900] * 190] * 3}
    event = {"id": "1", "source": "aws.other", "detail-type": "Something Else", "detail": detail}
    body = json.dumps(event).encode()
    assert len(body) > 500_000
    assert (await ingest(tocsin, "/v1/ingest/eventbridge", body, token=None)).ok(202)["accepted"] == 1
    (kept,) = (await tocsin.client.get("/v1/events")).ok()["items"]
    assert kept["data"] == {"jobName": "load", "jobRunId": "jr_1", "state": "stopped", "data_left_out": True}
