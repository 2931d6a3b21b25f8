"""What another site has a browser send changes nothing. S09 of the matrix."""

import json

import pytest

from tests.harness import Running
from tests.web.browser import EMAIL, PASSWORD, Browser, fields_of, set_up
from tocsin.web.dashboard.visit import unmasked

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("quick_passwords")]

EVENT = {"type": "run.failed", "id": "forged"}
FOREIGN: dict[str, dict[str, str]] = {
    "another site": {"origin": "https://evil.example", "sec-fetch-site": "cross-site"},
    "a site below the same domain": {"origin": "http://evil.127.0.0.1", "sec-fetch-site": "same-site"},
    "another port": {"origin": "http://127.0.0.1:1", "sec-fetch-site": "same-site"},
    "another scheme": {"origin": "https://127.0.0.1", "sec-fetch-site": "-"},
    "a sandboxed frame": {"origin": "null", "sec-fetch-site": "cross-site"},
    "an old browser on another site": {"origin": "https://evil.example", "sec-fetch-site": "-"},
    "a browser that says nothing": {"origin": "-", "sec-fetch-site": "-"},
    "only the fetch's site": {"origin": "-", "sec-fetch-site": "cross-site"},
}
TOKENS = {"none": "-", "another": "x" * 43, "not ASCII": "tök"}


@pytest.mark.parametrize("foreign", FOREIGN.values(), ids=FOREIGN)
async def test_a_request_from_elsewhere_is_refused_although_its_token_is_right(
    tocsin: Running, foreign: dict[str, str]
) -> None:
    # S09
    browser = await set_up(tocsin)
    headers = {name.replace("-", "_"): value for name, value in foreign.items()}
    for method, path, body in (
        ("POST", "/v1/events", EVENT),
        ("POST", "/v1/tokens", {"name": "x", "role": "admin"}),
        ("DELETE", "/v1/tokens/tok_x", None),
        ("POST", "/auth/logout", None),
        ("POST", "/auth/password", {"current_password": PASSWORD, "new_password": "quiet-harbour-lantern-9"}),
    ):
        (await browser.api(method, path, body, **headers)).problem(403)
    form = {"csrf": browser.csrf, "current": PASSWORD, "password": "quiet-harbour-lantern-9"}
    assert (await browser.form("/account/password", form, **headers)).status == 403
    assert (await browser.form("/account/sign-out", form, **headers)).status == 403
    assert (await browser.get("/v1/events")).ok()["items"] == []
    (await browser.get("/auth/session")).ok()


@pytest.mark.parametrize("token", TOKENS.values(), ids=TOKENS)
async def test_a_request_without_the_sessions_token_is_refused(tocsin: Running, token: str) -> None:
    # S09: were the browser's own word not enough
    browser = await set_up(tocsin)
    (await browser.api("POST", "/v1/events", EVENT, x_csrf_token=token)).problem(403)
    assert (await browser.form("/account/sign-out", {"csrf": token})).status == 403
    (await browser.get("/auth/session")).ok()


async def test_the_token_of_another_session_is_none(tocsin: Running) -> None:
    browser = await set_up(tocsin)
    other = Browser(tocsin)
    (await other.log_in()).ok()
    (await browser.api("POST", "/v1/events", EVENT, x_csrf_token=other.csrf)).problem(403)
    (await browser.api("POST", "/v1/events", EVENT)).ok(202)


async def test_a_form_that_looks_like_json_is_refused(tocsin: Running) -> None:
    # S09: `text/plain`, which needs no permission from us, and forms
    browser = await set_up(tocsin)
    body = json.dumps(EVENT).encode()
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        foreign = {"x_csrf_token": "-", "origin": "https://evil.example", "sec_fetch_site": "cross-site"}
        (await browser.raw("/v1/events", body, content_type=kind, **foreign)).problem(403)
    assert (await browser.get("/v1/events")).ok()["items"] == []


async def test_nobody_is_signed_in_by_another_site(tocsin: Running) -> None:
    # S09: login CSRF
    await set_up(tocsin)
    given = {"email": EMAIL, "password": PASSWORD}
    for foreign in FOREIGN.values():
        headers = {name.replace("-", "_"): value for name, value in foreign.items()}
        victim = Browser(tocsin)
        (await victim.api("POST", "/auth/login", given, **headers)).problem(403)
        assert (await victim.form("/sign-in", given, **headers)).status == 403
        assert not victim.cookies
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        answer = await Browser(tocsin).raw("/auth/login", json.dumps(given).encode(), content_type=kind)
        answer.problem(400, "content-type")


async def test_getting_changes_nothing_and_no_header_makes_another_method_of_it(tocsin: Running) -> None:
    # S09: method override
    browser = await set_up(tocsin)
    made = (await browser.api("POST", "/v1/tokens", {"name": "ci", "role": "viewer"})).ok(201)
    path = f"/v1/tokens/{made['id']}"
    overrides = {"x_http_method_override": "DELETE", "x_http_method": "DELETE", "x_method_override": "DELETE"}
    await browser.get(path, **overrides)
    await browser.get(f"{path}?_method=DELETE", **overrides)
    await browser.api("POST", path, {"_method": "DELETE"}, **overrides)
    await browser.form(path, {"_method": "DELETE"}, **overrides)
    (found,) = [one for one in (await browser.get("/v1/tokens")).ok()["items"] if one["id"] == made["id"]]
    assert found["revoked_at"] is None
    for path in ("/account/sign-out", "/auth/logout", "/account/end-session"):
        assert (await browser.get(path)).status == 405
    (await browser.get("/auth/session")).ok()


async def test_a_token_makes_cookies_count_for_nothing(tocsin: Running) -> None:
    # S09: bearer requests ignore cookies
    browser = await set_up(tocsin)
    viewer = await tocsin.token("viewer")
    for authorization in ("Bearer toc_junk", "Basic eDp5", "", "Bearer"):
        (await browser.get("/v1/events", authorization=authorization)).problem(401)
    (await browser.api("POST", "/v1/events", EVENT, authorization=f"Bearer {viewer}")).problem(403)
    assert (await browser.get("/v1/events", authorization=f"Bearer {viewer}")).status == 200
    (await tocsin.client.request("POST", "/v1/events", EVENT, headers={"origin": "https://evil.example"})).ok(202)


async def test_a_page_gives_the_token_to_its_own_forms(tocsin: Running) -> None:
    browser = await set_up(tocsin)
    page = await browser.get("/account")
    given = fields_of(page, "/account/sign-out")["csrf"]
    assert unmasked(given) == browser.csrf != given
    assert browser.cookies["tocsin"].value.encode() not in page.body
    signed_out = await browser.form("/account/sign-out", fields_of(page, "/account/sign-out"))
    assert (signed_out.status, signed_out.headers["location"]) == (303, "/sign-in?said=out")


async def test_broken_forms_are_refused(tocsin: Running) -> None:
    browser = await set_up(tocsin)
    for body in (b"csrf=a&csrf=b", b"%ff", b"a=%00", b"\xff", b"x=1&" * 100, b"x=" + b"y" * 20_000):
        answer = await browser.raw("/account/sign-out", body)
        assert answer.status in (400, 403, 413), body
    assert (await browser.raw("/sign-in", b"email=x", content_type="text/plain")).status == 400
    (await browser.get("/auth/session")).ok()
