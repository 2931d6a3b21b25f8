"""Addresses of all pages, made from what is in a store: a page that is added is covered without a line here, unless its
path has a gap that is none of `Filled.ids`."""

import re
from html.parser import HTMLParser
from urllib.parse import quote

from msgspec import Struct

from tests.dashboard.filled import Filled
from tocsin.web.dashboard.pages import PAGES
from tocsin.web.dashboard.views.people import PAGES as PEOPLE
from tocsin.web.dashboard.visit import Page

GAP = re.compile(r"{(\w+)(?::path)?}")
MORE = (
    "/account",
    "/deliveries?status=dead",
    "/deliveries?status=suppressed",
    "/events?type=no.such.type",
    "/runs?status=failed",
    "/search?q=orders",
    "/search?q=nothing-like-it",
)
"""Besides each page as it is: with filters, with an answer and without one."""

ASKED = {"/team/member": "?user=bo%40example.com"}
"""Pages that say in the query what they are about."""


class Address(Struct, frozen=True):
    pattern: str
    path: str
    role: str


def path_of(page: Page, ids: dict[str, dict[str, str]]) -> str:
    """Raises KeyError where nobody says what belongs into a gap."""
    section = page.path.split("/")[1]

    def filled(gap: re.Match[str]) -> str:
        known = ids[section]
        found = known.get(gap[1]) or known[""]
        return quote(found, safe="/@" if ":path" in gap[0] else "@")

    return GAP.sub(filled, page.path) + (ASKED.get(page.path, "") if page.method == "GET" else "")


def addresses(filled: Filled, method: str = "GET") -> list[Address]:
    """Every page once, in the order of PAGES; GET ones in some more states."""
    found = [
        Address(one.path, path_of(one, filled.ids), one.role)
        for one in PAGES
        if one.method == method and (filled.ids or not (GAP.search(one.path) or one.path in ASKED))
    ]
    if method == "GET":
        known = {one.pattern for one in found}
        found += [Address(path, path, "viewer") for path in MORE if path.partition("?")[0] in {*known, "/account"}]
        for status, id_ in filled.deliveries.items():
            if "/deliveries/{id}" in known:
                found.append(Address(f"a delivery that is {status}", f"/deliveries/{id_}", "viewer"))
        for status, id_ in filled.runs.items():
            if "/runs/{id}" in known:
                found.append(Address(f"a run that is {status}", f"/runs/{id_}", "viewer"))
    return found


class Form(Struct):
    """`fields` as a browser would send them if nobody touched anything."""

    method: str
    action: str
    fields: list[tuple[str, str]] = []


class Forms(HTMLParser):
    """Those of a page. Buttons of their own action count as forms; `form=` of another place does not occur here."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[Form] = []
        self.links: list[str] = []
        self.form: Form | None = None
        self.select: str = ""
        self.area: str = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        for name in ("href", "src"):
            if name in given:
                self.links.append(given[name])
        if tag == "form":
            self.form = Form(given.get("method", "get").upper(), given.get("action", ""), [])
            self.found.append(self.form)
        if self.form is None:
            return
        name = given.get("name", "")
        if tag == "button" and "formaction" in given:
            self.found.append(Form("POST", given["formaction"], self.form.fields))
        elif tag == "input" and name and "disabled" not in given:
            if given.get("type") not in ("checkbox", "radio", "submit") or "checked" in given:
                default = "on" if given.get("type") == "checkbox" else ""
                self.form.fields.append((name, given.get("value", default)))
        elif tag == "select":
            self.select = name
        elif tag == "option" and self.select and "selected" in given:
            self.form.fields.append((self.select, given.get("value", "")))
        elif tag == "textarea" and name:
            self.area = name
            self.form.fields.append((name, ""))

    def handle_data(self, data: str) -> None:
        if self.area and self.form is not None:
            name, before = self.form.fields[-1]
            self.form.fields[-1] = (name, before + data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self.form = None
        elif tag == "select":
            self.select = ""
        elif tag == "textarea":
            self.area = ""


def posts_to(path: str) -> str | None:
    """The role that a POST to this path needs; None where no page takes it. "" is anybody who is signed in."""
    where = path.partition("?")[0]
    for one in sorted(PAGES, key=lambda one: one.path.count("{")):
        pattern = re.sub(r"{\w+(:path)?}", lambda gap: ".+" if gap[1] else "[^/]+", one.path)
        if one.method == "POST" and re.fullmatch(pattern, where):
            return one.role
    return "" if ("POST", where) in {(method, path) for method, path, _ in PEOPLE} else None
