"""What the palette and the keys lead to, in a browser; and how a message looks, beside the list."""

import pytest
from playwright.async_api import expect

from tests.dashboard.conftest import Look, Looking
from tests.harness import Running
from tocsin.fakes.slack import FakeSlack

pytestmark = pytest.mark.anyio

ADDRESS = "https://hooks.slack.com/services/T00000001/B00000001/" + "x" * 24


async def choose(at: Looking, text: str, name: str) -> None:
    await at.page.keyboard.press("Control+k")
    await at.page.locator("#palette input").fill(text)
    await expect(at.page.locator("#palette [aria-selected=true]")).to_contain_text(name)
    await at.page.keyboard.press("Enter")


async def failed(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/bad")
    hook.always(410)
    await tocsin.webhook(hook, name="bad", enabled_events=["run.failed"])
    await tocsin.send(id="e1", type="run.failed", pipeline="etl", run_id="r1")
    await tocsin.settle()
    hook.all_new()


async def test_what_is_done_from_everywhere(tocsin: Running, look: Look) -> None:
    await failed(tocsin)
    at = await look("admin")
    await at.goto("/rules")
    await choose(at, "send test", "Send a test event")
    dialog = at.page.get_by_role("heading", name="Send a test event")
    await expect(dialog).to_be_visible()
    await at.page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    await choose(at, "replay", "Replay everything that failed since")
    await expect(at.page.get_by_role("heading", name="Replay: 1 delivery")).to_be_visible()
    await at.page.get_by_role("link", name="Last 7 days").click()
    await expect(at.page.locator("#ask [aria-current]")).to_have_text("Last 7 days")
    await expect(at.page.get_by_role("button", name="Replay 1")).to_be_visible()
    await at.page.keyboard.press("g")
    await at.page.keyboard.press("i")
    await expect(at.page.get_by_role("heading", name="Inbox")).to_be_visible()
    await expect(at.page.locator("nav[aria-label=Main] [aria-current]")).to_contain_text("My notifications")
    await choose(at, "sign out", "My account, and signing out")
    await at.page.get_by_role("button", name="Sign out").click()
    await expect(at.page.get_by_text("You are signed out.")).to_be_visible()


async def test_how_a_message_looks_stands_beside_the_list(tocsin: Running, look: Look) -> None:
    tocsin.receiver.play(FakeSlack())
    await tocsin.webhook(ADDRESS, name="room", enabled_events=["run.failed"])
    await tocsin.send(id="e1", type="run.failed", pipeline="etl", run_id="r1", message="The disk is full")
    at = await look("admin")
    await at.goto("/deliveries")
    await at.page.get_by_role("link", name="etl failed").click()
    await at.page.get_by_role("link", name="Preview the message").click()
    await expect(at.page.locator("#drawer .drawn")).to_contain_text("The disk is full")
    await at.goto("/endpoints/new?type=email")
    await expect(at.page.locator("iframe.drawn").content_frame.locator("body")).to_contain_text("failed")
