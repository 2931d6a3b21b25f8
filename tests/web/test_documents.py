"""What the API says of itself: the OpenAPI document, problems, health, metrics."""

import json
import re
from contextlib import suppress
from typing import Any

import jsonschema
import msgspec
import pytest
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from tests.harness import Running
from tocsin.model.access import RANKS
from tocsin.web import server
from tocsin.web.openapi import document
from tocsin.web.routes import Route
from tocsin.web.server import ROUTES

METHODS = {"get", "post", "patch", "put", "delete", "options"}
DOCUMENT = json.loads(msgspec.json.encode(document(ROUTES)))
OPERATIONS = [
    (method.upper(), path, operation)
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
]


def test_every_route_is_documented() -> None:
    # S4-01
    assert {(method, path) for method, path, _ in OPERATIONS} == {(route.method, route.path) for route in ROUTES}


def test_the_shape_of_the_document() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    assert DOCUMENT["info"]["title"]
    assert DOCUMENT["info"]["version"]
    ids = [operation["operationId"] for _, _, operation in OPERATIONS]
    assert len(set(ids)) == len(ids)
    for method, path, operation in OPERATIONS:
        assert path.startswith("/")
        assert method.lower() in METHODS
        assert operation["summary"]
        assert {"400", "500", "503"} <= set(operation["responses"])
        assert any(re.fullmatch(r"2\d\d", status) for status in operation["responses"])
        placed = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
        assert placed == set(re.findall(r"{(\w+)}", path)), path
        assert all(p["required"] for p in operation["parameters"] if p["in"] == "path")
        assert all(p["schema"] for p in operation["parameters"])
        if method == "GET":
            assert "requestBody" not in operation
        assert operation.get("security", []) in ([], *([{"token": [role]}] for role in RANKS))


def test_every_reference_leads_somewhere() -> None:
    references: list[str] = []

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                references.append(value["$ref"])
            for inner in value.values():
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    walk(DOCUMENT)
    assert references
    for reference in references:
        found: Any = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
    for schema in DOCUMENT["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def fits(value: Any, schema: dict[str, Any]) -> None:
    jsonschema.validate(value, schema | {"components": DOCUMENT["components"]}, jsonschema.Draft202012Validator)


def schema_of(method: str, path: str, status: str = "") -> dict[str, Any]:
    operation = DOCUMENT["paths"][path][method.lower()]
    status = status or next(status for status in operation["responses"] if status[0] == "2")
    (content,) = operation["responses"][status]["content"].values()
    found: dict[str, Any] = content["schema"]
    return found


@pytest.mark.anyio
async def test_answers_are_as_documented(tocsin: Running) -> None:
    client = tocsin.client
    hook = tocsin.receiver.hook("/hook")
    webhook = await tocsin.webhook(hook, enabled_events=["*"])
    fits(webhook, schema_of("POST", "/v1/webhooks"))
    rule = await tocsin.rule(webhook, condition="data.rows < 3", rate_limit={"count": 1}, retry={"max_attempts": 2})
    fits(rule, schema_of("POST", "/v1/alert-rules"))
    fits(await tocsin.send(), schema_of("POST", "/v1/events"))
    batch = (await client.post("/v1/events", {"events": [{"type": "run.failed"}]})).ok(202)
    fits(batch, schema_of("POST", "/v1/events"))
    fits((await client.post("/v1/tokens", {"name": "x", "role": "viewer"})).ok(201), schema_of("POST", "/v1/tokens"))
    await tocsin.settle()
    hook.expect(2)
    delivery = (await tocsin.deliveries())[0]
    replayed = await client.post(f"/v1/deliveries/{delivery['id']}/replay")
    fits(replayed.ok(202), schema_of("POST", "/v1/deliveries/{id}/replay"))
    await tocsin.settle()
    hook.expect(1)
    ids = {
        "/v1/webhooks/{id}": webhook["id"],
        "/v1/alert-rules/{id}": rule["id"],
        "/v1/deliveries/{id}": delivery["id"],
    }
    for path, id_ in ids.items():
        fits((await client.get(path.replace("{id}", id_))).ok(), schema_of("GET", path))
        fits((await client.get(path.removesuffix("/{id}"))).ok(), schema_of("GET", path.removesuffix("/{id}")))
    assert (await client.get("/openapi.json")).ok() == DOCUMENT


@pytest.mark.anyio
async def test_problems_are_as_documented(tocsin: Running) -> None:
    # RFC 9457
    client = tocsin.client
    problem = DOCUMENT["components"]["schemas"]["Problem"]
    answers = [
        (await client.get("/v1/nothing"), 404),
        (await client.get("/v1/events/nothing"), 404),
        (await client.delete("/v1/events"), 405),
        (await client.post("/v1/events", {"type": 1}), 400),
        (await client.with_token("x").get("/v1/events"), 401),
        (await (await tocsin.as_("viewer")).post("/v1/events", {"type": "run.failed"}), 403),
        (await client.request("POST", "/v1/webhooks", data=b"{"), 400),
        (await client.request("POST", "/v1/webhooks", data=b"\xff"), 400),
        (await client.request("POST", "/v1/webhooks", data=b"[" * 100_000), 400),
    ]
    for answer, status in answers:
        fits(answer.problem(status), problem)


@pytest.mark.anyio
async def test_a_fault_of_ours_tells_nothing(
    tocsin: Running, logs: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    # S27
    async def broken(*_: Any) -> Any:
        raise RuntimeError("SELECT secret FROM inside")

    monkeypatch.setattr(tocsin.app.db, "read", broken)
    for path in ("/v1/runs", "/v1/events", "/v1/webhooks"):
        answer = await tocsin.client.get(path)
        assert answer.problem(500)["title"] == "Internal error"
        assert b"SELECT" not in answer.body
        assert b"Traceback" not in answer.body
    monkeypatch.undo()
    assert {entry["event"] for entry in logs if entry.get("exc_info")} >= {"web.failed"}
    logs.clear()


@pytest.mark.anyio
async def test_no_handler_tells_what_went_wrong_in_it(
    tocsin: Running, logs: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    # S27: every route's handler fails, with words that nobody may see
    async def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("SELECT secret FROM inside, /var/lib/tocsin")

    failing = (replace(route, handler=broken, role=route.role and "viewer", scope="read") for route in ROUTES)
    monkeypatch.setattr(server, "ROUTES", tuple(failing))
    monkeypatch.setattr(tocsin.app.intake, "accept", broken)
    door = server.Tocsin(tocsin.app)
    bodies = set()
    for route in ROUTES:
        body = b'{"type": "run.failed"}' if (route.method, route.path) == ("POST", "/v1/events") else b""
        status, headers, said = await asked(door, route.method, path_of(route), tocsin.client.token, body)
        assert status == 500, (route.method, route.path, said)
        assert headers[b"content-type"] == b"application/problem+json"
        bodies.add(said)
    assert not [said for said in bodies if b"SELECT" in said or b"Traceback" in said or b"/var" in said]
    logs.clear()


def path_of(route: Route) -> str:
    return re.sub(r"{\w+}", "x", route.path)


async def asked(door: Any, method: str, path: str, token: str, body: bytes) -> tuple[int, dict[bytes, bytes], bytes]:
    """Status, headers and body of an ASGI application's answer."""
    sent: list[dict[str, Any]] = []
    headers = [(b"authorization", f"Bearer {token}".encode()), (b"content-type", b"application/json")]
    headers.append((b"content-length", str(len(body)).encode()))
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "path": path,
        "raw_path": path.encode(), "query_string": b"", "root_path": "", "scheme": "http", "headers": headers,
        "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1),
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    with suppress(RuntimeError):  # Starlette raises it once more, for the server's log
        await door(scope, receive, send)
    start = next(message for message in sent if message["type"] == "http.response.start")
    said = b"".join(message.get("body", b"") for message in sent if message["type"] == "http.response.body")
    return start["status"], dict(start["headers"]), said


@pytest.mark.anyio
async def test_health_and_readiness(tocsin: Running) -> None:
    nobody = tocsin.client.with_token("")
    assert (await nobody.get("/healthz")).ok()["status"] == "ok"
    ready = (await nobody.get("/readyz")).ok()
    if tocsin.dialect == "postgres":  # the tests' server does not sync, and says so
        assert ready["durability"] == "reduced durability"
        assert any("fsync=off" in warning for warning in ready["warnings"])
    else:
        assert ready == {"status": "ok", "durability": "full", "warnings": []}
    tocsin.app.deliver.stopping = True
    assert (await nobody.get("/readyz")).status == 503
    tocsin.app.deliver.stopping = False


@pytest.mark.anyio
async def test_metrics_count_what_happened(tocsin: Running) -> None:
    # S32
    hook = tocsin.receiver.hook("/hook")
    webhook = await tocsin.webhook(hook, name="name-of-a-webhook")
    await tocsin.rule(webhook, retry={"max_attempts": 2})
    hook.answer(200, 500)
    for id_ in ("a", "b", "b"):
        await tocsin.send(id=id_)
        await tocsin.settle()
    hook.expect(2)
    body = (await tocsin.client.with_token("").get("/metrics")).body.decode()
    found = {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(body)
        for sample in family.samples
    }
    assert found["tocsin_events_total", "accepted"] == 2
    assert found["tocsin_events_total", "duplicate"] == 1
    assert found["tocsin_attempts_total", "sent", "webhook", ""] == 1
    assert found["tocsin_attempts_total", "failed", "webhook", "http_5xx"] == 1
    assert found["tocsin_deliveries_total", "webhook", "", "delivered"] == 1
    assert found["tocsin_deliveries_total", "webhook", "http_5xx", "retrying"] == 1
    assert found["tocsin_deliveries_waiting",] == 1
    assert found["tocsin_up",] == 1
    for private in (webhook["id"], "name-of-a-webhook", "default", hook.url, "127.0.0.1"):
        assert private not in body
    await tocsin.wait_out()
    hook.expect(1)
