"""Sessions: renewed at sign-in, ended by the server, over when unused or old. S08 of the matrix."""

import asyncio
from pathlib import Path

import pytest

from tests.harness import Running, Start
from tests.web.browser import EMAIL, PASSWORD, Browser, account_of, set_up
from tocsin.store import identity
from tocsin.store.postgres import PostgresDatabase
from tocsin.web.people import setup_link

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("quick_passwords")]

MINUTE, HOUR = 60, 3600


async def test_the_cookie_is_for_this_host_alone(start: Start) -> None:
    # S08
    tocsin = await start(TOCSIN_PUBLIC_URL="https://tocsin.example")
    browser = Browser(tocsin, "https://tocsin.example")
    await set_up(tocsin, browser)
    cookie = browser.cookies["__Host-tocsin"]
    assert (cookie["secure"], cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, True, "lax", "/")
    assert cookie["domain"] == ""
    assert 0 < int(cookie["max-age"]) <= 168 * HOUR
    assert len(cookie.value) >= 43
    assert set(browser.cookies) == {"__Host-tocsin", "__Host-tocsin-device"}


async def test_on_this_machine_it_goes_without_tls(tocsin: Running) -> None:
    browser = await set_up(tocsin)
    cookie = browser.cookies["tocsin"]
    assert (cookie["secure"], cookie["httponly"], cookie["samesite"]) == ("", True, "lax")


@pytest.mark.parametrize(
    ("public", "host"),
    [("", "tocsin.example"), ("", "192.0.2.7:8000"), ("", "127.0.0.1.evil.example"), ("", "localhost.evil.example:80"),
     ("http://tocsin.example", "tocsin.example"), ("https://tocsin.example", "evil.example"),
     ("https://tocsin.example", "127.0.0.1:8000"), ("https://tocsin.example", "tocsin.example:8443")],
)  # fmt: skip
async def test_no_cookie_goes_over_the_open_network_or_to_another_name(start: Start, public: str, host: str) -> None:
    tocsin = await start(TOCSIN_PUBLIC_URL=public)
    await account_of(tocsin, EMAIL)
    answer = await Browser(tocsin, f"http://{host}").log_in()
    assert "TOCSIN_PUBLIC_URL" in answer.problem(403)["detail"]
    assert not answer.cookies
    assert (await Browser(tocsin, f"http://{host}").get("/sign-in")).status == 403


async def test_signing_in_renews_the_session(tocsin: Running) -> None:
    # S08: session fixation
    await set_up(tocsin)
    browser = Browser(tocsin)
    (await browser.log_in()).ok()
    before = browser.copy()
    (await browser.log_in()).ok()
    assert before.cookies["tocsin"].value != browser.cookies["tocsin"].value
    tocsin.clock.move(1)
    (await before.get("/auth/session")).problem(401)
    planted = Browser(tocsin)
    planted.keep(("tocsin=chosen-by-somebody-else",))
    (await planted.log_in()).ok()
    assert planted.cookies["tocsin"].value != "chosen-by-somebody-else"


async def test_signing_out_ends_it_on_the_server(tocsin: Running) -> None:
    # S08
    browser = await set_up(tocsin)
    stolen = browser.copy()
    (await stolen.get("/v1/rules-of-nothing")).problem(404)
    (await stolen.get("/v1/events")).ok()
    (await browser.api("POST", "/auth/logout")).ok(204)
    assert "tocsin" not in browser.cookies
    (await stolen.get("/v1/events")).problem(401)
    (await stolen.get("/auth/session")).problem(401)


async def test_an_unused_session_ends(start: Start) -> None:
    # S08: idle limit
    tocsin = await start(TOCSIN_SESSION_IDLE_MINUTES="30")
    browser = await set_up(tocsin)
    for _ in range(4):
        tocsin.clock.move(29 * MINUTE)
        (await browser.get("/v1/events")).ok()
        await asyncio.gather(*tocsin.app.under_way)
    tocsin.clock.move(30 * MINUTE)
    (await browser.get("/v1/events")).problem(401)
    assert (await browser.get("/account")).headers["location"] == "/sign-in?next=%2Faccount"


async def test_a_session_ends_however_it_is_used(start: Start) -> None:
    # S08: absolute limit
    tocsin = await start(TOCSIN_SESSION_HOURS="2")
    browser = await set_up(tocsin)
    for _ in range(3):
        tocsin.clock.move(39 * MINUTE)
        (await browser.get("/v1/events")).ok()
    tocsin.clock.move(3 * MINUTE)
    (await browser.get("/v1/events")).problem(401)
    await tocsin.app.sweep.cleaner.clean(tocsin.clock.now_ms)
    async with tocsin.app.db.transaction() as tx:
        assert not await tx.fetch("end_other_sessions", {"user_id": "", "id": ""})


async def test_another_role_needs_another_session(tocsin: Running) -> None:
    # S08: role change; within a second, as with tokens
    user = await account_of(tocsin, EMAIL, "admin")
    await account_of(tocsin, "bo@example.com", "admin")
    browser = Browser(tocsin)
    (await browser.log_in()).ok()
    (await browser.get("/v1/audit")).ok()
    now_ms = tocsin.clock.now_ms
    async with tocsin.app.db.transaction() as tx:
        lowered = identity.Member(user, "viewer", EMAIL, "", now_ms, now_ms)
        await identity.change_member(tx, "default", lowered, now_ms)
    tocsin.clock.move(1)
    (await browser.get("/v1/audit")).problem(401)
    assert (await browser.log_in()).ok()["role"] == "viewer"
    (await browser.get("/v1/audit")).problem(403)
    async with tocsin.app.db.transaction() as tx:
        await identity.remove_member(tx, "default", user, now_ms)
    tocsin.clock.move(1)
    (await browser.get("/v1/events")).problem(401)
    assert "no tenant" in (await browser.log_in()).problem(403)["detail"]


async def test_ones_sessions_are_listed_and_ended(tocsin: Running) -> None:
    # S08
    await set_up(tocsin)
    await account_of(tocsin, "bo@example.com")
    here, there, somebody = Browser(tocsin), Browser(tocsin), Browser(tocsin)
    for browser, email, agent in (
        (here, EMAIL, "here"),
        (there, EMAIL, "there"),
        (somebody, "bo@example.com", "x"),
    ):
        browser.standard = {"user-agent": agent}
        (await browser.log_in(email)).ok()
    listed = (await here.get("/auth/sessions")).ok()["items"]
    assert [item["user_agent"] for item in listed if item["current"]] == ["here"]
    (other,) = [item["id"] for item in listed if item["user_agent"] == "there"]
    (foreign,) = [item["id"] for item in (await somebody.get("/auth/sessions")).ok()["items"]]
    (await here.api("DELETE", f"/auth/sessions/{foreign}")).problem(404)
    (await here.api("DELETE", f"/auth/sessions/{other}")).ok(204)
    (await there.get("/auth/session")).problem(401)
    (await here.api("DELETE", "/auth/sessions")).ok()
    assert len((await here.get("/auth/sessions")).ok()["items"]) == 1
    (await somebody.get("/auth/session")).ok()


async def test_a_new_password_ends_the_other_sessions(tocsin: Running) -> None:
    # S08
    browser = await set_up(tocsin)
    other = Browser(tocsin)
    (await other.log_in()).ok()
    before = browser.copy()
    new = "quiet-harbour-lantern-9"
    change = {"current_password": PASSWORD, "new_password": new}
    (await browser.api("POST", "/auth/password", change | {"current_password": "wrong-guess-number-1"})).problem(401)
    (await browser.api("POST", "/auth/password", change | {"new_password": "short"})).problem(400, "new_password")
    (await browser.api("POST", "/auth/password", change | {"new_password": "Password1234"})).problem(
        400, "new_password"
    )
    (await browser.api("POST", "/auth/password", change)).ok()
    (await browser.get("/auth/session")).ok()
    for gone in (other, before):
        (await gone.get("/auth/session")).problem(401)
    (await Browser(tocsin).log_in()).problem(401)
    (await Browser(tocsin).log_in(password=new)).ok()


async def test_a_session_is_in_one_tenant_at_a_time(tocsin: Running) -> None:
    await account_of(tocsin, EMAIL, "developer", "default", "acme")
    await account_of(tocsin, "bo@example.com", "developer", "other")
    browser = Browser(tocsin)
    said = (await browser.log_in()).ok()
    assert said["tenant_id"] == "default"
    assert [one["tenant_id"] for one in said["tenants"]] == ["acme", "default"] or len(said["tenants"]) == 2
    (await browser.api("POST", "/v1/events", {"type": "run.failed", "id": "here"})).ok(202)
    before = browser.copy()
    (await browser.api("PATCH", "/auth/session", {"tenant_id": "other"})).problem(403)
    moved = (await browser.api("PATCH", "/auth/session", {"tenant_id": "acme"})).ok()
    browser.csrf = moved["csrf_token"]
    assert (await browser.get("/v1/events")).ok()["items"] == []
    (await before.get("/auth/session")).problem(401)
    (await Browser(tocsin).log_in(tenant_id="other")).problem(403)
    assert (await Browser(tocsin).log_in(tenant_id="acme")).ok()["tenant_id"] == "acme"


async def test_a_session_authenticates_the_api_and_no_token_does_for_it(tocsin: Running) -> None:
    browser = await set_up(tocsin)
    (await browser.api("POST", "/v1/events", {"type": "run.failed"})).ok(202)
    made = (await browser.api("POST", "/v1/tokens", {"name": "ci", "role": "viewer"})).ok(201)
    assert made["token"].startswith("toc_")
    (await tocsin.client.get("/auth/session")).problem(404)
    (await tocsin.client.post("/auth/logout")).problem(404)


async def test_sessions_are_kept_as_hashes(tocsin: Running) -> None:
    browser = await set_up(tocsin)
    link = (await setup_link(tocsin.app)).rpartition("=")[2]
    kept = await everything(tocsin)
    assert EMAIL.encode() in kept
    for secret in (*(cookie.value for cookie in browser.cookies.values()), browser.csrf, link, PASSWORD):
        assert secret.encode() not in kept


async def everything(tocsin: Running) -> bytes:
    """All that the store holds, past Tocsin's own code."""
    db = tocsin.app.db
    if isinstance(db, PostgresDatabase):
        tables = ("account", "session", "one_time_link", "sign_in_pace", "used_state", "audit")
        found = [await db.pool.fetch(f"SELECT t::text FROM {table} t") for table in tables]
        return str(found).encode()
    folder = Path(tocsin.app.settings.data_dir)
    return b"".join(file.read_bytes() for file in folder.iterdir() if file.name.startswith("tocsin.db"))


async def test_a_session_that_was_ended_elsewhere_ends_here_within_a_second(start: Start) -> None:
    # S08: several processes share the store
    one, other = await start(), await start(works=False)
    browser = await set_up(one)
    there = Browser(other, browser.origin)
    there.cookies = dict(browser.cookies)
    there.origin = other.client.base
    (await there.get("/v1/events")).ok()
    (await browser.api("POST", "/auth/logout")).ok(204)
    one.clock.move(1)
    (await there.get("/v1/events")).problem(401)


async def test_it_is_all_in_the_audit_trail(tocsin: Running) -> None:
    browser = await set_up(tocsin)
    (await Browser(tocsin).log_in()).ok()
    (await browser.api("DELETE", "/auth/sessions")).ok()
    (await browser.api("POST", "/auth/logout")).ok(204)
    found = (await tocsin.client.get("/v1/audit?limit=100")).ok()["items"]
    actions = [one["action"] for one in found if one["kind"] in ("session", "account")]
    assert actions == ["session.end", "session.end", "session.begin", "session.begin", "account.set_up"]
    assert len({one["actor"] for one in found if one["kind"] == "session"}) == 1
