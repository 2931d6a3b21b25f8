"""Signing in with a password: the answer tells nothing, guessing is slow, owners stay in. S07 of the matrix."""

import asyncio
import re

import pytest

from tests.harness import Running, Start
from tests.web.browser import EMAIL, PASSWORD, Browser, account_of, set_up
from tocsin.store import accounts
from tocsin.web.sign_in import OF_ACCOUNT, OF_ADDRESS, OF_DEVICE, REFUSED

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("quick_passwords")]

PROXIED = {"TOCSIN_TRUSTED_PROXIES": "127.0.0.1"}


async def guess(tocsin: Running, email: str, address: str = "192.0.2.1") -> int:
    """The status of one wrong password, from a browser that was never here."""
    return (await Browser(tocsin, address=address).log_in(email, "wrong-guess-number-1")).status


async def test_a_password_signs_in(tocsin: Running) -> None:
    # S07
    await set_up(tocsin)
    browser = Browser(tocsin)
    said = (await browser.log_in()).ok()
    assert (said["email"], said["role"], said["tenant_id"], said["is_operator"]) == (EMAIL, "admin", "default", True)
    assert (await browser.log_in(EMAIL.upper())).status == 200
    account = await accounts.by_email(tocsin.app.db, EMAIL)
    assert account is not None
    assert account.password.startswith("$argon2id$")
    assert PASSWORD not in repr(account)
    assert PASSWORD.encode() not in b"".join(answer.body for answer in tocsin.client.history)


async def test_a_wrong_password_and_an_unknown_address_are_answered_alike(tocsin: Running) -> None:
    # S07
    await set_up(tocsin)
    browser = Browser(tocsin)
    browser.standard = {"x-request-id": "the-same"}
    wrong = await browser.log_in(EMAIL, "wrong-guess-number-1")
    unknown = await browser.log_in("nobody@example.com", "wrong-guess-number-1")
    assert wrong.problem(401)["detail"] == REFUSED
    assert wrong.body == unknown.body
    apart = {"date", "content-length"}
    assert {k: v for k, v in wrong.headers.items() if k not in apart} == {
        k: v for k, v in unknown.headers.items() if k not in apart
    }
    assert not wrong.cookies
    assert not unknown.cookies


async def test_guesses_on_one_account_are_slow_wherever_they_come_from(start: Start) -> None:
    # S07: many addresses, one account
    tocsin = await start(**PROXIED)
    await set_up(tocsin)
    statuses = [await guess(tocsin, EMAIL, f"198.51.100.{number}") for number in range(OF_ACCOUNT.count + 5)]
    assert statuses == [401] * OF_ACCOUNT.count + [429] * 5
    answer = await Browser(tocsin, address="203.0.113.9").log_in(EMAIL, PASSWORD)
    assert answer.problem(429)["title"] == "Try again later", "the right one does not get through, or it would tell"
    assert 0 < int(answer.headers["retry-after"]) <= OF_ACCOUNT.every_ms / 1000
    tocsin.clock.move(int(answer.headers["retry-after"]))
    assert await guess(tocsin, EMAIL, "203.0.113.8") == 401
    assert await guess(tocsin, EMAIL, "203.0.113.7") == 429
    day = 86_400_000 // OF_ACCOUNT.every_ms
    assert 10_000 / day > 30, "ten thousand guesses take more than a month"


async def test_the_owner_is_not_locked_out(start: Start) -> None:
    # S07: a browser that has signed in before has a pace of its own, which strangers cannot use up
    tocsin = await start(**PROXIED)
    await set_up(tocsin)
    browser = Browser(tocsin, address="203.0.113.1")
    (await browser.log_in()).ok()
    while await guess(tocsin, EMAIL, "198.51.100.1") == 401:
        pass
    (await browser.log_in()).ok()
    (await Browser(tocsin, address="203.0.113.1").log_in()).problem(429)
    thief = Browser(tocsin, address="203.0.113.1")
    other = await account_of(tocsin, "bo@example.com")
    (await thief.log_in("bo@example.com")).ok()
    (await thief.log_in()).problem(429)
    assert other
    for _ in range(OF_DEVICE.count):
        (await browser.log_in(EMAIL, "wrong-guess-number-1")).problem(401)
    (await browser.log_in()).problem(429)
    tocsin.clock.move(OF_DEVICE.every_ms / 1000)
    (await browser.log_in()).ok()


async def test_one_address_cannot_try_many_accounts(start: Start) -> None:
    # S07: spraying; and a right password of one's own gives one try back, not all of them
    tocsin = await start(**PROXIED)
    await account_of(tocsin, "bo@example.com")
    statuses = [await guess(tocsin, f"u{number}@example.com") for number in range(OF_ADDRESS.count - 1)]
    assert set(statuses) == {401}
    (await Browser(tocsin, address="192.0.2.1").log_in("bo@example.com")).ok()
    assert [await guess(tocsin, f"v{number}@example.com") for number in range(3)] == [401, 429, 429]
    assert await guess(tocsin, "v@example.com", "192.0.2.2") == 401


async def test_a_network_of_ipv6_is_one_party(start: Start) -> None:
    tocsin = await start(**PROXIED)
    for number in range(OF_ADDRESS.count):
        assert await guess(tocsin, f"u{number}@example.com", f"2001:db8:1:2::{number + 1:x}") == 401
    assert await guess(tocsin, "u@example.com", "2001:db8:1:2:ffff::1") == 429
    assert await guess(tocsin, "u@example.com", "2001:db8:1:3::1") == 401


async def test_tries_at_the_same_moment_count_as_well(tocsin: Running) -> None:
    await set_up(tocsin)
    statuses = await asyncio.gather(*(guess(tocsin, EMAIL) for _ in range(OF_ACCOUNT.count + 6)))
    assert statuses.count(401) <= OF_ACCOUNT.count
    assert set(statuses) <= {401, 429, 503}


async def test_a_restart_forgets_nothing(start: Start) -> None:
    # S07: the pace is a row
    first = await start()
    await set_up(first)
    while await guess(first, EMAIL) == 401:
        pass
    second = await start(works=False)
    assert await guess(second, EMAIL) == 429


@pytest.mark.parametrize("trusted", ["", "10.0.0.0/8", "127.0.0.1"])
async def test_who_is_not_trusted_cannot_say_where_it_comes_from(start: Start, trusted: str) -> None:
    # S07, 15.3.4: X-Forwarded-For
    tocsin = await start(TOCSIN_TRUSTED_PROXIES=trusted)
    await account_of(tocsin, "bo@example.com")
    browser = Browser(tocsin, address="203.0.113.5")
    (await browser.log_in("bo@example.com")).ok()
    (session,) = (await browser.get("/auth/sessions")).ok()["items"]
    assert session["address"] == ("203.0.113.5" if trusted == "127.0.0.1" else "127.0.0.1")


@pytest.mark.parametrize(
    ("body", "field"),
    [({"email": EMAIL}, "password"), ({"email": EMAIL, "password": "x", "role": "admin"}, "role"),
     ({"email": "a\x00@b", "password": "x"}, "email"), ({"email": EMAIL, "password": "\x00"}, "password"),
     ({"email": "", "password": "x"}, "email"), ({"email": EMAIL, "password": "x" * 2000}, "password"),
     ({"email": EMAIL, "password": ["x"]}, "password")],
)  # fmt: skip
async def test_what_cannot_be_a_sign_in(standing: Running, body: dict[str, object], field: str) -> None:
    (await Browser(standing).api("POST", "/auth/login", body)).problem(400, field)


async def test_hostile_text_is_a_wrong_password(tocsin: Running) -> None:
    for text in ("' OR 1=1 --", "\ud83d\ude00" * 20, "$argon2id$v=19$m=8,t=1,p=1$", "a" * 1000, "\u202e\u0000x"[:1]):
        assert (await Browser(tocsin).log_in(f"{text}@example.com"[:254], text)).status == 401


async def test_the_page_signs_in_without_a_script(tocsin: Running) -> None:
    browser = Browser(tocsin)
    assert b"setup-link" in (await browser.get("/sign-in")).body
    await set_up(tocsin)
    page = await browser.get("/sign-in?next=/account")
    assert b"<script" not in page.body
    assert re.search(rb'<form method="post" action="/sign-in">', page.body)
    wrong = await browser.form("/sign-in", {"email": EMAIL, "password": "wrong-guess-number-1", "next": "/account"})
    assert wrong.status == 401
    assert REFUSED.encode() in wrong.body
    right = await browser.form("/sign-in", {"email": EMAIL, "password": PASSWORD, "next": "/account"})
    assert (right.status, right.headers["location"]) == (303, "/account")
    assert b"Ana" in (await browser.get("/account")).body


@pytest.mark.parametrize(
    "next_", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/a\nb", "evil", ""]
)
async def test_signing_in_leads_to_no_other_site(tocsin: Running, next_: str) -> None:
    await set_up(tocsin)
    browser = Browser(tocsin)
    answer = await browser.form("/sign-in", {"email": EMAIL, "password": PASSWORD, "next": next_})
    assert (answer.status, answer.headers["location"]) == (303, "/")
