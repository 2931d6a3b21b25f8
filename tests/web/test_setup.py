"""The first start: a link that works once, and no default password; links that set a password. S31 of the matrix."""

import asyncio

import pytest

from tests.harness import Running, Start
from tests.web.browser import EMAIL, PASSWORD, Browser, account_of, fields_of, set_up
from tocsin.settings import defaults
from tocsin.store import accounts
from tocsin.web.people import setup_link

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("quick_passwords")]

FORM = {"email": EMAIL, "name": "Ana", "password": PASSWORD, "again": PASSWORD}


async def token_of(tocsin: Running) -> str:
    return (await setup_link(tocsin.app)).rpartition("=")[2]


def test_tocsin_listens_on_this_machine_unless_told_otherwise() -> None:
    # S31
    assert defaults()["TOCSIN_HOST"] == "127.0.0.1"


async def test_nobody_gets_in_before_it_is_set_up(tocsin: Running) -> None:
    # S31: no default password
    for email in ("admin", "admin@example.com", "root@localhost", "tocsin@localhost"):
        for password in ("admin", "password", "tocsin", "changeme"):
            assert (await Browser(tocsin).log_in(email, password)).status in (401, 429)


async def test_the_link_makes_the_operator_and_is_used_up(tocsin: Running) -> None:
    # S31
    token, another = await token_of(tocsin), await token_of(tocsin)
    browser = Browser(tocsin)
    for _ in range(2):  # looking does not use it up
        page = await browser.get(f"/setup?token={token}")
        assert (page.status, fields_of(page)) == (200, {"token": token})
    assert (await browser.form("/setup", {"token": token} | FORM)).headers["location"] == "/"
    session = (await browser.get("/auth/session")).ok()
    assert (session["role"], session["tenant_id"], session["is_operator"]) == ("admin", "default", True)
    for used in (token, another):
        assert (await browser.get(f"/setup?token={used}")).status == 401
        assert (await Browser(tocsin).form("/setup", {"token": used} | FORM)).status == 401
    late = await token_of(tocsin)
    refused = await Browser(tocsin).form("/setup", {"token": late} | FORM | {"email": "second@example.com"})
    assert refused.status == 409, "set up once, for good"
    assert await accounts.by_email(tocsin.app.db, "second@example.com") is None


async def test_of_two_at_once_one_sets_it_up(tocsin: Running) -> None:
    tokens = [await token_of(tocsin) for _ in range(3)]
    forms = [{"token": token} | FORM | {"email": f"u{number}@example.com"} for number, token in enumerate(tokens)]
    answers = await asyncio.gather(*(Browser(tocsin).form("/setup", form) for form in forms))
    assert sorted(answer.status for answer in answers)[0] == 303
    assert {answer.status for answer in answers} <= {303, 401, 409}
    assert sum(answer.status == 303 for answer in answers) == 1


async def test_the_link_ends_after_a_day(tocsin: Running) -> None:
    token = await token_of(tocsin)
    tocsin.clock.move(86_400)
    assert (await Browser(tocsin).get(f"/setup?token={token}")).status == 401
    assert (await Browser(tocsin).form("/setup", {"token": token} | FORM)).status == 401
    for wrong in ("", "x", "%00", token[:-1], token + "x"):
        assert (await Browser(tocsin).get(f"/setup?token={wrong}")).status == 401


@pytest.mark.parametrize(
    ("field", "value"),
    [("email", "ana"), ("email", "@example.com"), ("email", "a b@example.com"), ("email", ""),
     ("password", "short"), ("password", "another-password-1"), ("password", "")],
)  # fmt: skip
async def test_what_is_wrong_is_said_and_the_link_goes_on(tocsin: Running, field: str, value: str) -> None:
    token = await token_of(tocsin)
    browser = Browser(tocsin)
    wrong = await browser.form("/setup", {"token": token} | FORM | {field: value})
    assert wrong.status == 400
    assert field.capitalize().encode() in wrong.body
    assert PASSWORD.encode() not in wrong.body
    assert fields_of(wrong) == {"token": token}
    assert (await browser.form("/setup", {"token": token} | FORM)).status == 303


@pytest.mark.parametrize(
    "password",
    ["Password1234", "P@ssw0rd!!2026", "qwertyuiop12", "123456789012", "aaaaaaaaaaaaaa", "letmeinletmein",
     "ana@example.com", "tocsin-admin-1", "Summer2026!!!!", "correcthorsebatterystaple"],
)  # fmt: skip
async def test_what_is_guessed_first_is_no_password(tocsin: Running, password: str) -> None:
    # S07: 6.2.4
    given = FORM | {"password": password, "again": password}
    wrong = await Browser(tocsin).form("/setup", {"token": await token_of(tocsin)} | given)
    assert wrong.status == 400
    assert b"guessed early" in wrong.body
    assert b'name="password" autocomplete="new-password" minlength="12" required autofocus' in wrong.body
    assert wrong.body.count(b"autofocus") == 1


async def test_hostile_names_are_shown_as_text(tocsin: Running) -> None:
    name = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
    browser = Browser(tocsin)
    token = await token_of(tocsin)
    for answer in (
        await browser.form("/setup", {"token": token} | FORM | {"name": name, "password": "x"}),
        await browser.form("/setup", {"token": token} | FORM | {"name": name}),
        await browser.get("/account"),
    ):
        assert b"<script>" not in answer.body
        assert b"<img src=x" not in answer.body
    assert b"&lt;script&gt;" in (await browser.get("/account")).body


async def test_an_admin_lets_a_member_set_a_password(tocsin: Running) -> None:
    browser = await set_up(tocsin)
    await tocsin.token("developer", user="mia")
    path = "/v1/members/mia/sign-in-link"
    (await browser.api("POST", path, {})).problem(400, "email")
    made = (await browser.api("POST", path, {"email": "Mia@Example.com"})).ok(201)
    token = made["link"].rpartition("=")[2]
    mia = Browser(tocsin)
    page = await mia.get(f"/set-password?token={token}")
    assert b"mia@example.com" in page.body
    form = fields_of(page) | {"password": PASSWORD, "again": PASSWORD}
    assert (await mia.form("/set-password", form | {"again": "x"})).status == 400
    assert (await mia.form("/set-password", form)).headers["location"] == "/sign-in?said=password"
    assert (await mia.form("/set-password", form)).status == 401, "it works once"
    said = (await mia.log_in("mia@example.com")).ok()
    assert (said["user_id"], said["role"], said["is_operator"]) == ("mia", "developer", False)
    again = (await browser.api("POST", path, {})).ok(201)["link"].rpartition("=")[2]
    new = {"token": again, "password": "quiet-harbour-lantern-9", "again": "quiet-harbour-lantern-9"}
    assert (await Browser(tocsin).form("/set-password", new)).status == 303
    (await mia.get("/auth/session")).problem(401)
    (await mia.log_in("mia@example.com", "quiet-harbour-lantern-9")).ok()
    (await mia.api("POST", path, {})).problem(403)
    (await browser.api("POST", "/v1/members/nobody/sign-in-link", {})).problem(404)


async def test_an_admin_gets_into_no_account_that_is_not_their_tenants(tocsin: Running) -> None:
    """Members' ids and addresses are chosen by each tenant's admins, so neither opens another tenant."""
    operator = await set_up(tocsin)
    victim = await account_of(tocsin, "victim@example.com", "admin", "acme")
    ana = (await operator.get("/auth/session")).ok()["user_id"]
    evil = await tocsin.as_("admin", "evil")
    for user, email in ((victim, "victim@example.com"), (ana, EMAIL)):
        await tocsin.token("viewer", "evil", user)
        (await evil.post(f"/v1/members/{user}/sign-in-link", {"email": email})).problem(403)
        (await evil.post(f"/v1/members/{user}/sign-in-link", {"email": "evil@example.com"})).problem(409)
    await tocsin.token("viewer", "evil", "double")
    (await evil.post("/v1/members/double/sign-in-link", {"email": "victim@example.com"})).problem(409)

    # An account that was made first, under an id and an address that another tenant will use.
    await tocsin.token("viewer", "evil", "boss")
    made = (await evil.post("/v1/members/boss/sign-in-link", {"email": "boss@acme.example"})).ok(201)
    form = {"token": made["link"].rpartition("=")[2], "password": PASSWORD, "again": PASSWORD}
    assert (await Browser(tocsin).form("/set-password", form)).status == 303
    thief = Browser(tocsin)
    assert [one["tenant_id"] for one in (await thief.log_in("boss@acme.example")).ok()["tenants"]] == ["evil"]
    acme = await tocsin.as_("admin", "acme")
    await tocsin.token("admin", "acme", "boss")
    (await acme.post("/v1/members/boss/sign-in-link", {"email": "boss@acme.example"})).problem(403)
    assert [one["tenant_id"] for one in (await thief.log_in("boss@acme.example")).ok()["tenants"]] == ["evil"]
    (await Browser(tocsin).log_in("boss@acme.example", tenant_id="acme")).problem(403)
    assert (await thief.api("PATCH", "/auth/session", {"tenant_id": "acme"})).status == 403


async def test_without_an_account_the_sign_in_page_says_what_to_do(start: Start) -> None:
    tocsin = await start()
    page = await Browser(tocsin).get("/sign-in")
    assert b"tocsin setup-link" in page.body
    assert b"<form" not in page.body
    assert (await Browser(tocsin).get("/")).headers["location"] == "/sign-in?next=%2F"
    assert (await Browser(tocsin).get("/account")).headers["location"] == "/sign-in?next=%2Faccount"
