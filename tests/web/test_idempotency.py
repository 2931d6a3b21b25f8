"""Idempotency-Key: a POST that makes something makes it once. Every such route, both stores."""

import asyncio
import base64
import re
from typing import Any

import pytest

from tests.harness import Answer, Client, Running
from tests.web.test_secrets import everything_stored
from tocsin.web.protocol import MOST_HEADER_BYTES
from tocsin.web.server import ROUTES

pytestmark = pytest.mark.anyio

MAKING = sorted(route.path for route in ROUTES if route.makes and route.status == 201 and "{" not in route.path)
"""Each makes one of what its GET lists."""
OF_ONE = {"/v1/members/{user}/sign-in-link", "/v1/webhooks/{id}/rotate-secret", "/v1/tokens/{id}/rotate"}
"""These make a new secret: what it is must not be lost with an answer."""
STARTING = "/v1/flows/{namespace}/{id}/executions"
"""See tests/flows/test_server.py."""
SIGNING = "whsec_" + base64.b64encode(b"canaryINsecret-0123456789abcdef!").decode()


def body_of(path: str, number: int) -> dict[str, Any]:
    """What makes one. A new route that makes something needs its line here."""
    bodies: dict[str, dict[str, Any]] = {
        "/v1/webhooks": {
            "provider_type": "webhook", "name": f"w{number}", "webhook_url": "http://127.0.0.1:9000", "secret": SIGNING,
        },
        "/v1/alert-rules": {"name": f"r{number}"},
        "/v1/silences": {"matchers": [{"field": "pipeline", "value": f"p{number}"}], "duration_s": 60},
        "/v1/secrets": {"name": f"s{number}", "value": "canaryINnamed"},
        "/v1/tokens": {"name": f"t{number}", "role": "viewer"},
        "/v1/sources": {"kind": "github", "name": f"s{number}", "secret": "canaryINnamed"},
        "/v1/members": {"user_id": f"u{number}", "role": "viewer"},
        "/v1/tenants": {"id": f"t{number}", "name": "new", "admin": "ana"},
    }  # fmt: skip
    return bodies[path]


async def post(client: Client, path: str, body: dict[str, Any], key: str) -> Answer:
    return await client.request("POST", path, body, headers={"Idempotency-Key": key})


async def count(client: Client, path: str) -> int:
    return len((await client.get(f"{path}?limit=100")).ok()["items"])


async def client_for(tocsin: Running, path: str) -> Client:
    return await tocsin.operator() if path == "/v1/tenants" else tocsin.client


def test_the_routes_that_make_something_say_so() -> None:
    assert {"/v1/webhooks", "/v1/alert-rules", "/v1/silences", "/v1/tokens"} <= set(MAKING)
    assert {route.path for route in ROUTES if route.makes} == {*MAKING, *OF_ONE, STARTING, "/v1/events"}


@pytest.mark.parametrize("path", MAKING)
async def test_the_same_request_makes_one(tocsin: Running, path: str) -> None:
    # S25
    client = await client_for(tocsin, path)
    before = await count(client, path)
    first = await post(client, path, body_of(path, 1), "key-1")
    again = await post(client, path, body_of(path, 1), "key-1")
    assert first.ok(201) == again.ok(201)
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert await count(client, path) == before + 1
    assert "key-1" in (await post(client, path, body_of(path, 2), "key-1")).problem(409)["detail"]
    assert (await post(client, path, body_of(path, 2), "key-2")).ok(201) != first.json
    assert await count(client, path) == before + 2
    await tocsin.move(24 * 3600 + 1)
    (await post(client, path, body_of(path, 3), "key-1")).ok(201)
    assert await count(client, path) == before + 3


@pytest.mark.parametrize("path", MAKING)
async def test_fifty_at_once_make_one(tocsin: Running, path: str) -> None:
    # S25
    client = await client_for(tocsin, path)
    before = await count(client, path)
    answers = await asyncio.gather(*(post(client, path, body_of(path, 1), "key") for _ in range(50)))
    assert {answer.status for answer in answers} == {201}
    assert len({answer.body for answer in answers}) == 1
    assert await count(client, path) == before + 1


@pytest.mark.parametrize("path", sorted(OF_ONE))
async def test_a_new_secret_is_made_once(tocsin: Running, path: str) -> None:
    # S25
    (await tocsin.client.post("/v1/members", {"user_id": "mia", "role": "viewer", "email": "mia@example.com"})).ok(201)
    webhook = (await tocsin.client.post("/v1/webhooks", body_of("/v1/webhooks", 1))).ok(201)
    token = (await tocsin.client.post("/v1/tokens", body_of("/v1/tokens", 1))).ok(201)
    one = {"members": "mia", "webhooks": webhook["id"], "tokens": token["id"]}[path.split("/")[2]]
    path = re.sub(r"{\w+}", one, path)
    answers = [await post(tocsin.client, path, {}, key) for key in ("one", "one", "two")]
    assert {answer.status for answer in answers} <= {200, 201}
    assert answers[0].body == answers[1].body != answers[2].body
    assert [answer.headers.get("idempotent-replayed") for answer in answers] == [None, "true", None]


async def test_a_refusal_is_not_kept(tocsin: Running) -> None:
    bad = {"name": "x", "condition": "((("}
    (await post(tocsin.client, "/v1/alert-rules", bad, "key")).problem(400)
    (await post(tocsin.client, "/v1/alert-rules", {"name": "x"}, "key")).ok(201)


async def test_keys_belong_to_a_tenant_and_a_token(tocsin: Running) -> None:
    # S25 S03
    others = [tocsin.client, await tocsin.as_("admin"), await tocsin.as_("admin", "other")]
    ids = [(await post(one, "/v1/alert-rules", {"name": f"r{n}"}, "key")).ok(201)["id"] for n, one in enumerate(others)]
    assert len(set(ids)) == 3
    events = [(await post(one, "/v1/events", {"type": f"t.{n}"}, "key")).ok(202) for n, one in enumerate(others)]
    assert not any(event["duplicate"] for event in events)


@pytest.mark.parametrize("path", ["/v1/alert-rules", "/v1/events"])
@pytest.mark.parametrize("key", ["k" * 256, "two words", "k" * 1_000_000])
async def test_keys_that_are_none(standing: Running, path: str, key: str) -> None:
    # S25: a key of 1 MB is refused, by us or by the server's own bound for headers
    answer = await post(standing.client, path, {"name": "r", "type": "run.failed"}, key)
    if len(key) > MOST_HEADER_BYTES:
        assert answer.status == 431
    else:
        answer.problem(400, "Idempotency-Key")


async def test_what_was_answered_is_sealed(tocsin: Running, tmp_path: Any) -> None:
    # S4-12 S22
    made = (await post(tocsin.client, "/v1/webhooks", body_of("/v1/webhooks", 1), "key")).ok(201)
    token = (await post(tocsin.client, "/v1/tokens", body_of("/v1/tokens", 1), "key2")).ok(201)["token"]
    assert made["secret"] == SIGNING
    stored = await everything_stored(tocsin, tmp_path / "data")
    assert made["id"].encode() in stored
    for secret in (SIGNING, token):
        assert secret.encode() not in stored
        assert base64.b64encode(secret.encode())[4:-4] not in stored
