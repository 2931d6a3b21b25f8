"""Endpoints with a way in of their own: saved, shown, used."""

from typing import Any

import pytest
from msgspec.structs import replace

from tests.harness import Hook, Reply, Running
from tests.outbound.certificates import Authority, key_pem
from tocsin.store import config

pytestmark = pytest.mark.anyio

SECRET = "s3cr3tClientSecret0000"


def oauth(issuer: Hook, **more: Any) -> dict[str, Any]:
    return {"auth": "oauth2", "token_url": issuer.url, "client_id": "tocsin", "client_secret": SECRET} | more


def gives(token: str) -> Reply:
    return Reply(200, f'{{"access_token": "{token}", "token_type": "bearer", "expires_in": 60}}')


async def test_a_token_is_fetched_kept_and_fetched_again_when_it_is_refused(tocsin: Running) -> None:
    issuer, hook = tocsin.receiver.hook("/token"), tocsin.receiver.hook("/in")
    issuer.answer(gives("first-token-0001"), gives("second-token-0002"))
    hook.answer(200, Reply(401, "no: Bearer first-token-0001"), 200)
    webhook = await tocsin.webhook(hook, enabled_events=["*"], settings=oauth(issuer, scopes=["write"]))
    assert webhook["settings"]["client_secret"] == "…" + SECRET[-7:]
    for _ in range(2):
        await tocsin.send()
        await tocsin.settle()
    assert [one.headers["authorization"] for one in hook.expect(3)] == [
        "Bearer first-token-0001",
        "Bearer first-token-0001",
        "Bearer second-token-0002",
    ]
    assert len(issuer.expect(2)) == 2
    assert await tocsin.statuses() == {"delivered": 2}
    assert {one["attempts"] for one in await tocsin.deliveries()} == {1}


async def test_a_token_endpoint_that_fails_is_a_failed_attempt_with_a_reason(tocsin: Running) -> None:
    issuer, hook = tocsin.receiver.hook("/token"), tocsin.receiver.hook("/in")
    issuer.answer(Reply(401, '{"error": "invalid_client"}'), gives("a-token"))
    await tocsin.webhook(hook, enabled_events=["*"], settings=oauth(issuer))
    await tocsin.send()
    await tocsin.settle()
    delivery = await tocsin.delivery()
    assert delivery["status"] == "retrying"
    assert delivery["reason"] == "credentials: the token endpoint answered 401 (invalid_client)"
    hook.expect(0)
    await tocsin.wait_out()
    hook.expect(1)
    issuer.expect(2)
    assert (await tocsin.delivery())["status"] == "delivered"


async def test_what_an_endpoint_logs_in_with_is_shown_to_nobody(tocsin: Running) -> None:
    # S4-12, and S12 of the matrix: what a receiver echoes
    hook = tocsin.receiver.hook("/in")
    hook.always(lambda got: Reply(400, f"you said {got.headers['authorization']}"))
    settings = {"auth": "basic", "username": "tocsin", "password": SECRET}
    webhook = await tocsin.webhook(hook, enabled_events=["*"], settings=settings, headers={"Authorization": "mine"})
    await tocsin.send()
    await tocsin.settle()
    (got,) = hook.expect(1)
    assert got.headers["authorization"] == "Basic dG9jc2luOnMzY3IzdENsaWVudFNlY3JldDAwMDA="
    assert (await tocsin.delivery())["log"][0]["response_body"] == "you said Basic ***"
    preview = await tocsin.client.post("/v1/webhooks/preview", {"webhook_id": webhook["id"], "sample": "failed"})
    assert preview.status == 200, preview.body
    said = b"".join(answer.body for answer in tocsin.client.history)
    assert SECRET.encode() not in said
    assert b"dG9jc2lu" not in said


async def test_a_secret_that_comes_back_as_it_is_shown_stays(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/in")
    settings = {"auth": "bearer", "token": SECRET}
    webhook = await tocsin.webhook(hook, enabled_events=["*"], settings=settings)
    shown = (await tocsin.endpoint(webhook))["settings"]
    (await tocsin.client.patch(f"/v1/webhooks/{webhook['id']}", {"settings": shown})).ok()
    await tocsin.send()
    await tocsin.settle()
    assert hook.expect(1)[0].headers["authorization"] == f"Bearer {SECRET}"


ONE, OTHER = Authority().issue(), Authority().issue()


OAUTH = {"auth": "oauth2", "token_url": "https://a.test/", "client_id": "x", "client_secret": "y"}
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"auth": "basic"}, "username"),
    ({"auth": "basic", "username": "a:b", "password": "x"}, "username"),
    ({"auth": "basic", "username": "a", "password": "x\r\ny"}, "password"),
    ({"auth": "bearer"}, "token"),
    ({"auth": "bearer", "token": "a b"}, "token"),
    ({"auth": "bearer", "token": "a\r\nX: y"}, "token"),
    ({"auth": "none", "token": "unused"}, "token"),
    ({"auth": "digest"}, "auth"),
    (OAUTH | {"client_secret": ""}, "client_secret"),
    (OAUTH | {"token_url": "ftp://a.test/"}, "token_url"),
    (OAUTH | {"token_url": "http://10.0.0.1/"}, "token_url"),
    (OAUTH | {"token_url": "https://169.254.169.254/"}, "token_url"),
    (OAUTH | {"scopes": ["a b"]}, "scopes"),
    ({"ca": "nonsense"}, "ca"),
    ({"client_certificate": ONE.certificate}, "client_key"),
    ({"client_key": ONE.key}, "client_certificate"),
    ({"client_certificate": ONE.certificate, "client_key": OTHER.key}, "client_key"),
    ({"client_certificate": ONE.key, "client_key": ONE.key}, "client_certificate"),
    ({"client_certificate": ONE.certificate, "client_key": key_pem(Authority().key, b"x")}, "client_key"),
]


async def test_a_way_in_that_cannot_work_is_refused(tocsin: Running) -> None:
    body = {"provider_type": "webhook", "name": "x", "webhook_url": "https://example.com/"}
    for settings, field in WRONG:
        answer = await tocsin.client.post("/v1/webhooks", body | {"settings": settings})
        answer.problem(400, f"settings.{field}")
        assert b"PRIVATE KEY" not in answer.body
    assert (await tocsin.client.get("/v1/webhooks")).ok()["items"] == []


async def test_a_token_url_written_behind_our_back_is_not_asked(tocsin: Running) -> None:
    # S12: on send too
    issuer, hook = tocsin.receiver.hook("/token"), tocsin.receiver.hook("/in")
    webhook = await tocsin.webhook(hook, enabled_events=["*"], settings=oauth(issuer))
    endpoint = await config.get_endpoint(tocsin.app.db, "default", webhook["id"])
    settings = endpoint.settings | {"token_url": "https://10.0.0.1/token"}
    async with tocsin.app.db.transaction() as tx:
        await config.change_endpoint(tx, replace(endpoint, settings=settings), tocsin.clock.now_ms)
    await tocsin.send()
    await tocsin.settle()
    delivery = await tocsin.delivery()
    assert (delivery["status"], delivery["attempts"]) == ("dead", 1)
    assert delivery["reason"].startswith("invalid: the token endpoint: ")
    assert "10.0.0.1" not in delivery["reason"]
    issuer.expect(0)
    hook.expect(0)


async def test_certificates_are_kept_sealed_and_used(tocsin: Running) -> None:
    settings = {"client_certificate": ONE.certificate, "client_key": ONE.key, "ca": Authority().certificate}
    webhook = await tocsin.webhook("https://example.com/hook", settings=settings)
    assert webhook["settings"]["client_key"].startswith("…")
    opened = await config.open_endpoint(tocsin.app.db, tocsin.app.keyring, "default", webhook["id"])
    assert opened.secret_settings == {"client_key": ONE.key}
    async with tocsin.app.db.transaction() as tx:
        (row,) = await tx.fetch("get_endpoint", {"tenant_id": "default", "id": webhook["id"], "deleted": 0})
    assert "PRIVATE KEY" not in repr(tuple(row))


async def test_what_is_secret_may_be_named(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/in")
    await tocsin.client.post("/v1/secrets", {"name": "orders.token", "value": SECRET})
    settings = {"auth": "bearer", "token": "secret:orders.token"}
    await tocsin.webhook(hook, enabled_events=["*"], settings=settings)
    await tocsin.send()
    await tocsin.settle()
    assert hook.expect(1)[0].headers["authorization"] == f"Bearer {SECRET}"
