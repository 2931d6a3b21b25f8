"""Every page of the dashboard, by PAGES: who may come, what they may do there, and that what is asked for in a wrong
way is a page as well. Without a browser, on both stores."""

import re
from collections.abc import AsyncIterator
from urllib.parse import quote, unquote, urlencode

import pytest

from tests.conftest import own_store
from tests.dashboard.costs import MOST_BYTES, first_load
from tests.dashboard.filled import ATTACKS, Filled, company
from tests.dashboard.pages_of import GAP, Forms, addresses, posts_to
from tests.harness import Answer
from tests.web.browser import Browser
from tocsin.model.access import RANKS
from tocsin.web.api import webhooks
from tocsin.web.dashboard.pages import PAGES

pytestmark = pytest.mark.anyio

MAY = {"operator": "admin", "admin": "admin", "developer": "developer", "viewer": "viewer"}
"""Whom a page's role is asked of: the operator of the tests is an admin of the tenant as well."""

JUNK = ("cursor=zz", "status=nonsense", "since=yesterday", "limit=x", "q=" + quote(ATTACKS[0]), "page=-1", "a=b&a=c")


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.proof)])
async def filled(
    request: pytest.FixtureRequest, anyio_backend: object, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Filled]:
    folder = tmp_path_factory.mktemp("company")
    async with company(own_store(request, folder, "company"), folder) as found:
        yield found


def is_enough(name: str, role: str) -> bool:
    if role in ("anybody", "operator"):
        return role == "anybody" or name == "operator"
    return RANKS[MAY[name]] >= RANKS[role]


def is_page(answer: Answer) -> bool:
    return answer.headers["content-type"].startswith("text/html") and b"<h1" in answer.body


def test_every_path_and_method_is_there_once() -> None:
    assert len({(one.method, GAP.sub("*", one.path)) for one in PAGES}) == len(PAGES)
    assert {one.method for one in PAGES} == {"GET", "POST"}
    assert {one.role for one in PAGES} <= {*RANKS, "operator", "anybody"}


@pytest.mark.parametrize("filled", ["sqlite", "postgres"], indirect=True)
async def test_each_role_gets_what_is_for_it(filled: Filled) -> None:
    # S3-09 S01
    for one in addresses(filled):
        for name in MAY:
            answer = await filled.people[name].get(one.path)
            what = (name, one, answer.status, answer.body[-600:])
            assert answer.status == (200 if is_enough(name, one.role) else 403), what
            assert is_page(answer), what
            assert b"script-src 'self'" in answer.headers["content-security-policy"].encode(), what
        answer = await filled.people["nobody"].get(one.path)
        assert answer.status == 303, one
        assert unquote(answer.headers["location"]) == f"/sign-in?next={unquote(one.path)}", one


async def test_the_first_load_of_a_page_is_small(filled: Filled) -> None:
    for one in addresses(filled):
        assert await first_load(filled.people["operator"], one.path) <= MOST_BYTES, one.path


async def test_another_tenants_admin_sees_none_of_it(filled: Filled) -> None:
    # S01 S04: what is not theirs is as what does not exist
    mine = re.compile(rb"etl/customers|Warehouse|scheduled__|Bo Example|bo@example")
    for one in addresses(filled):
        if one.role == "operator":
            continue
        answer = await filled.people["stranger"].get(one.path)
        what = (one, answer.status, answer.body[-600:])
        assert answer.status in (200, 404), what
        asked = {part.encode() for part in re.split(r"[/?=]", one.path) if part}
        found = {hit for hit in mine.findall(answer.body) if not any(part in hit or hit in part for part in asked)}
        assert not found or GAP.search(one.pattern), (what, found)
        if re.search(r"(evt|dlv|run|whk|rul|sil|src|tok)_", one.path):
            assert answer.status == 404, what


async def test_what_does_not_exist_is_a_page_that_says_so(filled: Filled) -> None:
    for page in PAGES:
        if page.method != "GET" or not GAP.search(page.path):
            continue
        for name in ("nothing", "dlv_0", quote(ATTACKS[1], safe=""), "%00", "..%2F..%2Fsign-in"):
            answer = await filled.people["admin"].get(GAP.sub(lambda _, name=name: name, page.path))  # type: ignore[misc]
            assert answer.status in (200, 400, 403, 404), (page.path, name, answer.status, answer.body[-600:])
            assert is_page(answer) or answer.status == 404, (page.path, name)


async def test_what_is_asked_in_a_wrong_way_is_a_page_as_well(filled: Filled) -> None:
    for one in addresses(filled):
        for query in JUNK:
            answer = await filled.people["admin"].get(f"{one.path}{'&' if '?' in one.path else '?'}{query}")
            what = (one.path, query, answer.status, answer.body[-600:])
            assert answer.status in (200, 303, 400, 403, 404), what
            assert answer.status == 303 or is_page(answer), what


async def test_nothing_is_done_without_the_pages_own_token(filled: Filled) -> None:
    # S10: neither from elsewhere nor with another's
    token = (await token_of(filled.people["developer"]))["csrf"]
    before = (await filled.tocsin.client.get("/v1/audit?outcome=done&limit=1")).ok()["items"][0]["number"]
    for one in addresses(filled, "POST"):
        admin = filled.people["admin"].copy()
        admin.csrf = ""
        for fields in ({}, {"csrf": ""}, {"csrf": "junk"}, {"csrf": token}):
            answer = await admin.form(one.path, fields)
            assert answer.status == 403, (one, fields, answer.status, answer.body[-600:])
            assert is_page(answer), one
    after = (await filled.tocsin.client.get("/v1/audit?outcome=done&limit=1")).ok()["items"][0]["number"]
    assert after == before


async def test_who_is_not_enough_does_nothing(filled: Filled) -> None:
    # S02
    for one in addresses(filled, "POST"):
        for name in ("viewer", "developer", "admin"):
            if not is_enough(name, one.role):
                person = filled.people[name]
                answer = await person.form(one.path, await token_of(person))
                assert answer.status == 403, (name, one, answer.status, answer.body[-600:])
        answer = await Browser(filled.tocsin).form(one.path, {})
        assert answer.status in (303, 403), (one, answer.status)
        assert answer.status == 403 or answer.headers["location"].startswith("/sign-in"), one


async def token_of(person: Browser) -> dict[str, str]:
    found = re.search(r'data-csrf="([^"]+)"', (await person.get("/")).body.decode())
    assert found
    return {"csrf": found[1]}


async def test_whoever_is_shown_a_form_may_send_it(filled: Filled, monkeypatch: pytest.MonkeyPatch) -> None:
    # S02: the last test, for it does all that there is to do, the least role first
    monkeypatch.setattr(webhooks, "TEST_WAIT_S", 0.1)  # what is sent as a test waits here until the clock is moved
    sent = set()
    for name in ("viewer", "developer", "admin"):
        person = filled.people[name]
        for one in addresses(filled):
            answer = await person.get(one.path)
            if answer.status != 200:
                continue
            page = Forms(answer.body.decode())
            for form in page.found:
                if form.method != "POST":
                    continue
                role = posts_to(form.action or one.path)
                assert role is not None, (one, form.action)
                if form.action.startswith("/account") or (name, form.action) in sent:
                    continue
                sent.add((name, form.action))
                done = await person.raw(form.action or one.path, urlencode(form.fields).encode())
                what = (name, one.path, form, done.status, done.body[-900:])
                assert done.status in (200, 303, 400, 404, 409, 412, 422), what
    assert {name for name, _ in sent} >= {"developer", "admin"}
