"""Endpoints in a browser: the first message in a minute, and what failed sent again."""

import time

import pytest
from playwright.async_api import expect

from tests.dashboard.conftest import Look
from tests.harness import Running
from tests.web.browser import PASSWORD, Browser, account_of, set_up
from tocsin.fakes.slack import CHANNEL, FakeSlack

pytestmark = pytest.mark.anyio

ADDRESS = "https://hooks.slack.com/services/T00000001/B00000001/" + "x" * 24


async def developer(tocsin: Running, role: str = "developer") -> Browser:
    """Somebody signed in who has no script."""
    await set_up(tocsin)
    email = f"{role}@example.org"
    await account_of(tocsin, email, role)
    browser = Browser(tocsin)
    (await browser.log_in(email, PASSWORD)).ok()
    return browser


async def test_the_first_message_is_seen_within_a_minute_and_five_clicks(tocsin: Running, look: Look) -> None:
    # S1-17
    slack = FakeSlack()
    tocsin.receiver.play(slack)
    await tocsin.send(type="run.failed", pipeline="etl/orders", run_id="r1", labels={"env": "prod"})
    at = await look("developer")
    page, clicks = at.page, 0

    async def click(role: str, name: str) -> None:
        nonlocal clicks
        clicks += 1
        await page.get_by_role(role, name=name, exact=True).click()  # type: ignore[arg-type]  # roles of these tests

    await at.goto("/deliveries")
    began = time.monotonic()
    await click("link", "Endpoints")
    await click("link", "Add the first one")
    await click("link", "Slack")
    await page.get_by_label("Address").fill("https://hooks.slack.com/services/nothing")
    await expect(page.locator("#check")).to_contain_text("expected https://hooks.slack.com/services/T…/B…/…")
    await page.get_by_label("Address").fill(ADDRESS)
    await expect(page.locator("#check")).to_contain_text("This is an address for Slack.")
    await expect(page.get_by_label("Name")).to_have_value("Slack")
    await click("button", "Save & send test")
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Delivered in")
    assert [message.text for message in slack.channels[CHANNEL].messages] != []
    await click("link", "Yes")
    assert clicks <= 5
    assert time.monotonic() - began < 60
    await expect(page.locator(".starters")).to_contain_text("1 of the last 2 events matches")
    await page.get_by_role("button", name="Turn on Failed production runs").click()
    await expect(page.locator(".toast-line")).to_contain_text("“Failed production runs” is on.")
    (rule,) = (await tocsin.client.get("/v1/alert-rules")).ok()["items"]
    assert (rule["event_types"], rule["labels"], rule["is_active"]) == (["run.failed"], {"env": "prod*"}, True)
    before = len(slack.channels[CHANNEL].messages)
    await tocsin.send(type="run.failed", pipeline="etl/orders", run_id="r2", labels={"env": "prod"})
    await tocsin.move(5)
    assert len(slack.channels[CHANNEL].messages) == before + 1
    await page.get_by_role("button", name="Undo").click()
    await expect(page.locator(".toast-line")).to_contain_text("gone again")
    assert (await tocsin.client.get("/v1/alert-rules")).ok()["items"] == []


async def test_what_failed_is_sent_again_after_the_count_was_shown(tocsin: Running, look: Look) -> None:
    # S4-08
    hook = tocsin.receiver.hook("/orders")
    at = await look("developer")
    page = at.page
    me = (await tocsin.client.get("/v1/members")).ok()["items"]
    mine = next(one["user_id"] for one in me if one["email"].startswith("developer"))
    client = await tocsin.as_("developer", user=mine)
    webhook = await tocsin.webhook(hook, client, name="orders", enabled_events=["run.failed"])
    await tocsin.send(type="run.failed", pipeline="etl", run_id="r0")
    await tocsin.settle()
    hook.expect(1)
    hook.always(410)
    await tocsin.move(60)
    await tocsin.send(type="run.failed", pipeline="etl", run_id="r1")
    await tocsin.settle()
    hook.expect(1)
    hook.always(200)
    await at.goto(f"/endpoints/{webhook['id']}")
    await expect(page.locator(".verdict")).to_contain_text("there is nothing at this address")
    await page.get_by_role("link", name="Recover failed…").click()
    button = page.get_by_role("button", name="Send 1 again")
    await expect(button).to_be_visible()
    await page.get_by_label("Dead letter").uncheck()
    await expect(page.get_by_role("button", name="Send 0 again")).to_be_disabled()
    await page.get_by_label("Dead letter").check()
    await button.click()
    await expect(page.locator(".toast-line")).to_contain_text("1 message is sent again.")
    await tocsin.settle()
    hook.expect(1)
    assert await tocsin.statuses(webhook_id=webhook["id"]) == {"delivered": 2}
    await page.reload()
    await expect(page.locator(".verdict")).to_contain_text("It works")
    await at.goto(f"/endpoints/{webhook['id']}/metrics")
    await page.locator("#latency").scroll_into_view_if_needed()
    await expect(page.locator("#latency canvas")).to_be_visible()
