"""A browser as Tocsin sees one: cookies, forms, and the headers that say where a request comes from."""

import re
from collections.abc import Mapping
from html import unescape
from http.cookies import Morsel, SimpleCookie
from typing import Any
from urllib.parse import urlencode

from tests.harness import Answer, Running
from tocsin.store import accounts, identity
from tocsin.store.accounts import Browser as Where
from tocsin.store.accounts import Link
from tocsin.web.people import one_time_link, setup_link
from tocsin.web.server import Tocsin

PASSWORD = "umbrella-grove-27-tulip"
EMAIL = "ana@example.com"
FORM = "application/x-www-form-urlencoded"


class Browser:
    """Sends what a page of Tocsin's own would send; `headers` come over that. `host` is what it takes Tocsin for."""

    def __init__(self, tocsin: Running, origin: str = "", address: str = "") -> None:
        self.client = tocsin.client.with_token("")
        self.origin = origin or tocsin.client.base
        self.cookies: dict[str, Morsel[str]] = {}
        self.csrf = ""
        self.standard = {"x-forwarded-for": address} if address else {}

    def copy(self) -> "Browser":
        """Another program with the same cookies."""
        made = object.__new__(Browser)
        made.__dict__ |= self.__dict__ | {"cookies": dict(self.cookies)}
        return made

    async def ask(self, method: str, path: str, json_: Any, data: bytes | None, headers: Mapping[str, str]) -> Answer:
        sent = self.standard | {"host": self.origin.partition("://")[2]}
        if self.cookies:
            sent["cookie"] = "; ".join(f"{name}={morsel.value}" for name, morsel in self.cookies.items())
        if method != "GET":
            sent |= {"origin": self.origin, "sec-fetch-site": "same-origin"}
            if self.csrf:
                sent["x-csrf-token"] = self.csrf
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {name: value for name, value in sent.items() if value != "-"}
        answer = await self.client.request(method, path, json_, data=data, headers=sent)
        self.keep(answer.cookies)
        return answer

    def keep(self, lines: tuple[str, ...]) -> None:
        for line in lines:
            for name, morsel in SimpleCookie(line).items():
                if morsel["max-age"] == "0":
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel

    async def get(self, path: str, **headers: str) -> Answer:
        return await self.ask("GET", path, None, None, headers)

    async def api(self, method: str, path: str, json_: Any = None, **headers: str) -> Answer:
        return await self.ask(method, path, json_, None, headers)

    async def form(self, path: str, fields: Mapping[str, str], **headers: str) -> Answer:
        return await self.raw(path, urlencode(fields).encode(), **headers)

    async def raw(self, path: str, body: bytes, **headers: str) -> Answer:
        """A form, unless `content_type` says otherwise."""
        return await self.ask("POST", path, None, body, {"content_type": FORM} | headers)

    async def log_in(self, email: str = EMAIL, password: str = PASSWORD, **fields: str) -> Answer:
        answer = await self.api("POST", "/auth/login", {"email": email, "password": password} | fields)
        if answer.status == 200:
            self.csrf = answer.json["csrf_token"]
        return answer


def fields_of(page: Answer, form: str = "") -> dict[str, str]:
    """The hidden fields of a page's form (of the one that goes to `form`)."""
    text = page.body.decode()
    if form:
        text = text[text.index(f'action="{form}"') :]
    found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', text.partition("</form>")[0])
    return {name: unescape(value) for name, value in found}


async def set_up(tocsin: Running, browser: Browser | None = None) -> Browser:
    """The first account, made as people make it; returns the browser, signed in."""
    browser = browser or Browser(tocsin)
    path = (await setup_link(tocsin.app)).rpartition("/")[2]
    fields = fields_of(await browser.get(f"/{path}"))
    assert fields["token"]
    form = {"email": EMAIL, "name": "Ana", "password": PASSWORD, "again": PASSWORD}
    answer = await browser.form("/setup", fields | form)
    assert answer.status == 303, answer.body
    browser.csrf = (await browser.get("/auth/session")).ok()["csrf_token"]
    return browser


async def account_of(tocsin: Running, email: str, role: str = "developer", *tenants: str, user: str = "") -> str:
    """An account with the standard password, a member of these tenants; returns the user's id."""
    app, now_ms = tocsin.app, tocsin.clock.now_ms
    user = user or app.new_id("usr")
    for tenant in tenants or ("default",):
        async with app.db.transaction() as tx:
            await tx.fetch("insert_tenant", {"id": tenant, "name": tenant, "now": now_ms})
            member = identity.Member(user, role, email, "", now_ms, now_ms)
            await identity.add_member(tx, tenant, member, now_ms)
    link = await one_time_link(app, "password", Link(user, email, ""))
    people = Tocsin(app).people
    await people.set_password_by_link(Where("", ""), link.rpartition("=")[2], PASSWORD)
    assert await accounts.by_email(app.db, email)
    return user
