"""What senders of CloudEvents ask before they send."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.harness import Answer, Running

pytestmark = pytest.mark.anyio

ORIGIN = "eventgrid.azure.net"
EVENT = {"specversion": "1.0", "id": "1", "source": "/shop", "type": "run.failed", "data": {"pipeline": "etl"}}


async def asks(tocsin: Running, path: str, token: str | None = None, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    client = tocsin.client if token is None else tocsin.client.with_token(token)
    return await client.request("OPTIONS", path, headers=named)


def permission(answer: Answer) -> Mapping[str, str | None]:
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["allow"] in ("OPTIONS, POST", "GET, HEAD, OPTIONS, POST")  # events can be read as well
    return {name: answer.headers.get(f"webhook-allowed-{name}") for name in ("origin", "rate")}


async def address(tocsin: Running, **fields: Any) -> str:
    given = {"kind": "cloudevents", "name": "event grid"} | fields
    made = (await tocsin.client.post("/v1/sources", given)).ok(201)
    return "/v1" + str(made["url"]).partition("/v1")[2]


async def test_a_source_agrees_and_takes_what_follows(tocsin: Running) -> None:
    path = await address(tocsin)
    assert permission(await asks(tocsin, path, "", webhook_request_origin=ORIGIN)) == {"origin": ORIGIN, "rate": "*"}
    headers = {"content-type": "application/cloudevents+json", "webhook-request-origin": ORIGIN}
    sent = await tocsin.client.with_token("").request("POST", path, data=json.dumps(EVENT).encode(), headers=headers)
    assert sent.ok(202)["accepted"] == 1


async def test_the_rate_is_what_the_limits_leave(tocsin: Running) -> None:
    path, operator = await address(tocsin), await tocsin.operator()
    limits = {"requests_per_s": 50, "token_requests_per_s": 7}
    (await operator.request("PUT", "/v1/tenants/default/limits", limits)).ok()
    await tocsin.move(60)
    asked = await asks(tocsin, path, "", webhook_request_origin=ORIGIN, webhook_request_rate="9000")
    assert permission(asked) == {"origin": ORIGIN, "rate": "420"}


async def test_nobody_gets_a_permission_who_could_not_send(tocsin: Running) -> None:
    path = await address(tocsin)
    other = path.replace("cloudevents", "github")
    off = await address(tocsin, is_active=False)
    viewer = (await tocsin.as_("viewer")).token
    refused = {
        "an unknown key": (await asks(tocsin, path[:-1] + "!", "", webhook_request_origin=ORIGIN), 404),
        "another kind's": (await asks(tocsin, other, webhook_request_origin=ORIGIN), 404),
        "switched off": (await asks(tocsin, off, "", webhook_request_origin=ORIGIN), 403),
        "no token": (await asks(tocsin, "/v1/events", "", webhook_request_origin=ORIGIN), 401),
        "a viewer": (await asks(tocsin, "/v1/ingest/cloudevents", viewer, webhook_request_origin=ORIGIN), 403),
        "no such source": (await asks(tocsin, "/v1/ingest/nobody", webhook_request_origin=ORIGIN), 404),
    }
    for who, (answer, status) in refused.items():
        assert answer.problem(status), who
        assert "webhook-allowed-origin" not in answer.headers, who


@pytest.mark.parametrize("path", ["/v1/events", "/v1/ingest/cloudevents"])
async def test_with_a_token(standing: Running, path: str) -> None:
    asked = await asks(standing, path, webhook_request_origin="*.example.com")
    assert permission(asked) == {"origin": "*.example.com", "rate": "*"}


async def test_questions_that_are_none(standing: Running) -> None:
    # A preflight of browsers, or somebody who looks what there is: no permission.
    assert permission(await asks(standing, "/v1/events", origin="https://x.org")) == {"origin": None, "rate": None}
    for wrong in ("https://x.org", "a b", "*", "x" * 300, "a..b"):
        (await asks(standing, "/v1/events", webhook_request_origin=wrong)).problem(400, "WebHook-Request-Origin")
    for wrong in ("0", "-1", "many", "1.5", "1" * 30):
        answer = await asks(standing, "/v1/events", webhook_request_origin=ORIGIN, webhook_request_rate=wrong)
        answer.problem(400, "WebHook-Request-Rate")
