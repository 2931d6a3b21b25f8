"""Sources: an address made, tried and used, with the page waiting for what comes; and what the cards say is true."""

import re
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.dashboard.conftest import Look
from tests.harness import Running
from tests.web.browser import PASSWORD, Browser, account_of, fields_of, set_up
from tocsin.sources import SOURCES
from tocsin.web.dashboard.quickstarts import QUICKSTARTS

pytestmark = pytest.mark.anyio

DOCS = Path(__file__).parents[2] / "docs"


async def somebody(tocsin: Running, role: str = "developer") -> Browser:
    """Signed in, without a script."""
    await set_up(tocsin)
    await account_of(tocsin, f"{role}@example.org", role)
    browser = Browser(tocsin)
    (await browser.log_in(f"{role}@example.org", PASSWORD)).ok()
    return browser


async def test_an_address_is_made_tried_and_the_page_sees_the_first_event(tocsin: Running, look: Look) -> None:
    at = await look("developer")
    page = at.page
    await at.goto("/sources")
    await expect(page.locator("#known")).to_contain_text("Waiting for the first event")
    await page.get_by_label("Search", exact=True).fill("any json")
    await expect(page.locator(".pick")).to_have_count(1)
    await page.get_by_role("link", name="Anything with a webhook").click()
    await page.get_by_label("What it would send, as JSON").fill('{"event": "run.failed", "project": "vision"}')
    await page.get_by_role("button", name="What would it become?").click()
    await expect(page.locator("#previewed")).to_contain_text("vision")
    await page.get_by_label("Name").fill("the lab")
    await page.get_by_role("button", name="Make the address").click()
    await expect(page.locator("#waiting")).to_contain_text("Waiting for the first event of the lab")
    address = await page.locator("#address").inner_text()
    assert await page.locator(".snippet pre").inner_text() == (
        f'curl {address} -H "Content-Type: application/json" \\\n'
        '  -d \'{"event": "run.failed", "project": "vision", "run": {"id": "41"}, "error": "out of memory"}\''
    )
    sent = {"event": "run.failed", "project": "vision", "run": {"id": "41"}, "error": "out of memory"}
    path = address.removeprefix(tocsin.client.base)
    (await tocsin.client.with_token("").post(path, sent)).ok(202)
    await expect(page.locator("#waiting")).to_contain_text("the lab has sent something")
    (source,) = (await tocsin.client.get("/v1/sources")).ok()["items"]
    assert source["last_used_at"] is not None
    (event,) = (await tocsin.client.get("/v1/events")).ok()["items"]
    assert (event["pipeline"], event["run_id"], event["message"]) == ("vision", "41", "out of memory")


async def test_a_source_is_switched_off_given_a_new_address_and_deleted(tocsin: Running) -> None:
    browser = await somebody(tocsin)
    page = await browser.get("/sources/connect/ping")
    fields = fields_of(page, "/sources/connect/ping")
    made = await browser.form("/sources/connect/ping", fields | {"name": "backup", "settings": '{"pipeline": "db1"}'})
    assert made.status == 200
    (old,) = set(re.findall(r"http://[^\s\"<]+(/ping/[\w-]+)", made.body.decode()))
    outside = tocsin.client.with_token("")
    assert (await outside.get(old)).status == 200
    (source,) = (await tocsin.client.get("/v1/sources")).ok()["items"]
    one = f"/sources/{source['id']}"
    fields = fields_of(await browser.get(one), f"{one}/switch")
    assert (await browser.form(f"{one}/switch", fields)).status == 303
    assert b"what it sends is refused" in (await browser.get(one)).body
    assert (await outside.get(old)).status == 403
    fields = fields_of(await browser.get(one), f"{one}/switch")
    assert (await browser.form(f"{one}/switch", fields)).status == 303
    fields = fields_of(await browser.get(one), f"{one}/rotate")
    rotated = await browser.form(f"{one}/rotate", fields)
    (new,) = set(re.findall(r"http://[^\s\"<]+(/ping/[\w-]+)", rotated.body.decode()))
    assert ((await outside.get(old)).status, (await outside.get(new)).status) == (404, 200)
    fields = fields_of(await browser.get(one), f"{one}/delete")
    assert (await browser.form(f"{one}/delete", fields)).headers["location"] == "/sources"
    assert (await outside.get(new)).status == 404


async def test_what_is_wrong_is_said_and_changes_nothing(tocsin: Running) -> None:
    browser = await somebody(tocsin)
    fields = fields_of(await browser.get("/sources/connect/ping"), "/sources/connect/ping")
    for settings, words in (("{", b"malformed JSON"), ("[]", b"a JSON object"), ("{}", b"a pipeline, or slugs")):
        answer = await browser.form("/sources/connect/ping", fields | {"name": "x", "settings": settings})
        assert answer.status == 422
        assert words in answer.body
    assert (await tocsin.client.get("/v1/sources")).ok()["items"] == []
    source = (await tocsin.client.post("/v1/sources", {"kind": "github", "name": "ours"})).ok(201)
    one = f"/sources/{source['id']}"
    fields = fields_of(await browser.get(one), one)
    await tocsin.client.patch(f"/v1/sources/{source['id']}", {"name": "theirs"})
    answer = await browser.form(one, fields | {"name": "mine"})
    assert answer.status == 422
    assert b"Somebody changed it while you did" in answer.body
    assert (await tocsin.client.get(f"/v1/sources/{source['id']}")).ok()["name"] == "theirs"


async def test_a_viewer_sees_what_there_is_and_no_forms(tocsin: Running) -> None:
    source = (await tocsin.client.post("/v1/sources", {"kind": "github", "name": "ours"})).ok(201)
    browser = await somebody(tocsin, "viewer")
    for path in ("/sources", "/sources/connect/github", f"/sources/{source['id']}"):
        page = (await browser.get(path)).body.decode()
        assert "GitHub" in page
        assert 'method="post"' not in page.partition("<main")[2].partition("</main>")[0]


def test_the_cards_say_what_the_documentation_says() -> None:
    """Every kind that there is can be connected; commands and addresses of snippets are those of docs/."""
    assert {one.kind for one in QUICKSTARTS if one.kind} <= set(SOURCES)
    docs = " ".join(file.read_text("utf-8") for file in DOCS.glob("*.md"))
    for one in QUICKSTARTS:
        for word in re.findall(r"/v1/[a-z/]+|tocsin_client[.\w]*|--?[a-z-]{4,}|TOCSIN_\w+", one.snippet):
            assert word in docs or word.startswith("tocsin_client.hooks"), (one.key, word)
        if one.own:
            assert SOURCES[one.kind].kind == one.kind
            assert one.signs == (SOURCES[one.kind].signed is not None), one.key
