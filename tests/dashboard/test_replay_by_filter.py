"""Changing many deliveries at once, in a browser: what is chosen by a filter is counted, and only that is changed."""

import pytest
from playwright.async_api import expect

from tests.dashboard.conftest import Look
from tests.harness import Running
from tests.web.browser import Browser, account_of, fields_of, set_up

pytestmark = pytest.mark.anyio

GONE = 410


async def three_dead(tocsin: Running) -> None:
    """Three dead letters at a developer's endpoint that is well again by now, and one delivered elsewhere."""
    dev = await tocsin.as_("developer", user="dev")
    bad, good = tocsin.receiver.hook("/bad"), tocsin.receiver.hook("/good")
    webhook = await tocsin.webhook(bad, dev, name="pager")
    await tocsin.rule(webhook, client=dev, event_types=["run.failed"])
    await tocsin.webhook(good, dev, name="log", enabled_events=["run.succeeded"])
    bad.always(GONE)
    for number in range(3):
        await tocsin.send(dev, type="run.failed", pipeline="etl", run_id=f"r{number}")
        await tocsin.settle()
        (await dev.post(f"/v1/webhooks/{webhook['id']}/enable")).ok()
    await tocsin.send(dev, type="run.succeeded", pipeline="etl", run_id="r9")
    await tocsin.settle()
    bad.expect(3)
    good.expect(1)
    bad.always(200)


async def test_a_developer_replays_what_the_filter_chooses(tocsin: Running, look: Look) -> None:
    # S4-07: by the filter, not by the page, and the count is said before
    at = await look("developer", user="dev")
    await three_dead(tocsin)
    await at.goto("/deliveries")
    page = at.page
    rows = page.locator("tbody tr")
    await expect(rows).to_have_count(4)
    await page.get_by_role("searchbox").fill("status:failed endpoint:pager")
    await page.keyboard.press("Enter")
    await expect(rows).to_have_count(3)
    await rows.first.get_by_role("checkbox").check()
    await expect(page.get_by_text("1 selected")).to_be_visible()
    await page.get_by_role("link", name="Select all that match").click()
    await page.get_by_role("dialog").get_by_role("button", name="Replay 3").click()
    await expect(page.get_by_text("3 deliveries are sent again.")).to_be_visible()
    await tocsin.settle()
    tocsin.receiver.hooks["127.0.0.1", "/bad"].expect(3)
    await at.goto("/deliveries?q=status:delivered")
    await expect(rows).to_have_count(4)


async def test_selected_rows_are_asked_about_in_a_dialog(tocsin: Running, look: Look) -> None:
    at = await look("admin")  # who may do so with what is a developer's
    await three_dead(tocsin)
    await at.goto("/deliveries?q=status:failed")
    page = at.page
    for number in range(2):
        await page.locator("tbody tr").nth(number).get_by_role("checkbox").check()
    await page.get_by_role("button", name="Replay", exact=True).click()
    dialog = page.get_by_role("dialog")
    await expect(dialog.get_by_role("heading")).to_have_text("Replay: 2 deliveries")
    await dialog.get_by_role("link", name="Back").click()
    await expect(dialog).to_be_hidden()
    await at.goto("/dead-letters")
    await page.get_by_role("link", name="Discard").click()
    await dialog.get_by_role("button", name="Discard 3").click()
    await expect(page.get_by_text("3 deliveries are discarded.")).to_be_visible()
    await expect(page.get_by_role("heading", name="No dead letters")).to_be_visible()


async def test_a_viewer_sees_no_buttons(tocsin: Running) -> None:
    # S3-09
    await set_up(tocsin)
    hook = tocsin.receiver.hook("/bad")
    hook.always(GONE)
    webhook = await tocsin.webhook(hook)
    await tocsin.rule(webhook, event_types=["run.failed"])
    await tocsin.send(type="run.failed", pipeline="etl", run_id="r1")
    await tocsin.settle()
    hook.expect(1)
    await account_of(tocsin, "vera@example.com", "viewer")
    vera = Browser(tocsin)
    (await vera.log_in("vera@example.com")).ok()
    for path in ("/deliveries", "/dead-letters"):
        answer = await vera.get(path)
        assert answer.status == 200
        assert b"/bad" not in answer.body
        assert b"run.failed" in answer.body or b"HTTP 410" in answer.body
        assert b"deliveries/change" not in answer.body.replace(b'action="/deliveries/change"', b"")
        assert b"Discard" not in answer.body
    assert (await vera.get("/deliveries/change?q=status:dead&do=replay")).status == 403


async def test_without_a_script_it_is_a_page_and_a_form(tocsin: Running) -> None:
    await three_dead(tocsin)
    browser = await set_up(tocsin)
    page = await browser.get("/deliveries/change?q=status:dead&do=replay")
    assert b"Replay 3" in page.body
    fields = fields_of(page, "/deliveries/change") | {"back": "/deliveries"}
    assert (fields["expected"], fields["q"]) == ("3", "status:dead")
    assert b"Discard 3" in (await browser.get("/deliveries/change?q=status:dead&do=discard&since=all")).body
    for expected, status in (("2", 409), ("", 400), ("x", 400)):
        assert (await browser.form("/deliveries/change", fields | {"expected": expected})).status == status
    answer = await browser.form("/deliveries/change", fields | {"expected": "3"})
    assert (answer.status, answer.headers["location"]) == (303, "/deliveries")
    await tocsin.settle()
    tocsin.receiver.hooks["127.0.0.1", "/bad"].expect(3)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("q=stauts:failed", "one of status, endpoint, rule"),
        ("q=endpoint:nobody", "pager"),
        ("q=code:9xx", "404, 5xx, or none"),
        ("q=since:yesterday", "14:00, 2h, 7d"),
    ],
)
async def test_a_filter_that_is_none_says_what_there_is(tocsin: Running, asked: str, said: str) -> None:
    hook = tocsin.receiver.hook("/a")
    await tocsin.webhook(hook, name="pager")
    browser = await set_up(tocsin)
    answer = await browser.get(f"/deliveries?{asked}")
    assert answer.status == 400
    assert said in answer.body.decode()
