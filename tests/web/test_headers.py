"""Headers of every answer: no sniffing, no storing, no framing, nothing inline. S10 of the matrix."""

import http.client
from urllib.parse import urlsplit

import pytest

from tests.harness import Running, Start
from tests.web.browser import Browser, set_up
from tocsin.web.dashboard.views.people import PAGES
from tocsin.web.headers import PAGE_POLICY

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("quick_passwords")]

ANSWERS = (
    ("GET", "/v1/events", 200), ("POST", "/v1/events", 202), ("GET", "/v1/nothing", 404), ("DELETE", "/v1/events", 405),
    ("POST", "/v1/webhooks", 400), ("GET", "/healthz", 200), ("GET", "/metrics", 200), ("GET", "/openapi.json", 200),
)  # fmt: skip


async def test_every_answer_of_the_api(tocsin: Running) -> None:
    # S10
    for method, path, status in ANSWERS:
        answer = await tocsin.client.request(method, path, {"type": "run.failed"} if status == 202 else None)
        assert answer.status == status, (path, answer.body)
        check(answer.headers)
        assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    refused = await tocsin.client.with_token("x").post("/v1/events", {"type": "run.failed"})
    check(refused.headers)
    assert refused.status == 401


def check(headers: object) -> None:
    found = dict(headers)  # type: ignore[call-overload]
    assert found["x-content-type-options"] == "nosniff"
    assert found["cache-control"] == "no-store"
    assert found["referrer-policy"] == "same-origin"
    assert found["cross-origin-resource-policy"] == "same-origin"
    assert "strict-transport-security" not in found, "there is no TLS here"
    assert "server" not in found


async def test_every_page(tocsin: Running) -> None:
    # S10: also where it refuses
    signed_in, nobody = await set_up(tocsin), Browser(tocsin)
    seen = set()
    for browser in (signed_in, nobody):
        for method, path, _ in PAGES:
            if "static" in path:
                continue
            answer = await (browser.get(path) if method == "GET" else browser.form(path, {"csrf": "x"}))
            if not answer.body:
                assert answer.status == 303
                continue
            seen.add((method, path))
            check(answer.headers)
            assert answer.headers["content-type"] == "text/html; charset=utf-8"
            assert answer.headers["content-security-policy"] == PAGE_POLICY.decode()
            assert answer.headers["cross-origin-opener-policy"] == "same-origin"
            for inline in (b"<script>", b"<style", b" style=", b" onclick", b"javascript:", b"http://", b"https://"):
                assert inline not in answer.body, (path, inline)
    assert len(seen) > 9


def test_the_policy_allows_nothing_that_is_not_ours() -> None:
    parts = dict(part.strip().split(" ", 1) for part in PAGE_POLICY.decode().split(";"))
    assert parts["default-src"] == parts["frame-ancestors"] == parts["base-uri"] == "'none'"
    assert parts.pop("img-src") == "'self' data:"
    assert set(parts.values()) == {"'none'", "'self'"}
    assert {"script-src", "style-src", "form-action"} <= set(parts)


async def test_files_of_the_pages_may_be_kept(tocsin: Running) -> None:
    for name, kind in (("app.css", "text/css; charset=utf-8"), ("bell.svg", "image/svg+xml")):
        answer = await Browser(tocsin).get(f"/static/{name}")
        assert (answer.status, answer.headers["content-type"]) == (200, kind)
        assert "public" in answer.headers["cache-control"]
        assert answer.headers["x-content-type-options"] == "nosniff"
    for name in ("nothing.css", "..%2f..%2fapp.py", "..%5capp.py", "app.css%00"):
        assert (await Browser(tocsin).get(f"/static/{name}")).status == 404


async def test_browsers_stay_with_https_where_that_is_the_address(start: Start) -> None:
    # S10: HSTS
    tocsin = await start(TOCSIN_PUBLIC_URL="https://tocsin.example")
    for path in ("/v1/events", "/healthz", "/sign-in"):
        answer = await Browser(tocsin, "https://tocsin.example").get(path)
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
    sent = await tocsin.client.post("/v1/events", {"type": "run.failed"})
    assert sent.headers["strict-transport-security"] == "max-age=31536000"


async def test_tracing_is_off(tocsin: Running) -> None:
    # S10: 13.4.4
    at = urlsplit(tocsin.client.base)

    def trace(path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(str(at.hostname), at.port, timeout=5)
        connection.request("TRACE", path, headers={"cookie": "tocsin=secret"})
        reply = connection.getresponse()
        found = reply.status, reply.read()
        connection.close()
        return found

    import anyio.to_thread

    for path in ("/v1/events", "/", "/sign-in", "/healthz", "/nothing"):
        status, body = await anyio.to_thread.run_sync(trace, path)
        assert status in (404, 405)
        assert b"secret" not in body


async def test_tokens_work_under_any_name_and_health_is_told_to_anybody(start: Start) -> None:
    """Probes and pipelines reach Tocsin under names of their own; only browsers are held to the public one."""
    tocsin = await start(TOCSIN_PUBLIC_URL="https://tocsin.example")
    for host in ("tocsin.internal:8000", "10.1.2.3"):
        answer = await tocsin.client.request("POST", "/v1/events", {"type": "run.failed"}, headers={"host": host})
        answer.ok(202)
        (await tocsin.client.with_token("").request("GET", "/healthz", headers={"host": host})).ok()
