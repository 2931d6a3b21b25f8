"""docs/first-hour.md, clicked as it stands there: from the link on the console to the reason why a message came."""

import json
import re
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from tests.harness import Running
from tests.web.browser import PASSWORD
from tocsin.fakes.slack import FakeSlack
from tocsin.web.people import setup_link

pytestmark = pytest.mark.anyio

TEXT = (Path(__file__).parents[2] / "docs/first-hour.md").read_text("utf-8")
ADDRESS = f"https://hooks.slack.com/services/T00000001/B00000001/{'x' * 24}"
ASIDE = {"No", "Custom webhook", "Undo"}
"""Named on the page, and not on the way."""


async def test_the_first_hour_goes_as_it_is_written_down(tocsin: Running, chromium: Browser) -> None:  # S1-17
    slack = FakeSlack()
    tocsin.receiver.play(slack)
    context = await chromium.new_context(timezone_id="UTC", locale="en-GB")
    page = await context.new_page()
    clicked = set()

    async def click(name: str, role: str = "link", within: str = "main") -> None:
        clicked.add(name)
        await page.locator(within).get_by_role(role, name=name, exact=True).first.click()  # type: ignore[arg-type]

    await page.goto(await setup_link(tocsin.app, tocsin.client.base))
    await page.get_by_label("Email").fill("ana@example.com")
    await page.get_by_label("Name").fill("Ana")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_label("The same again").fill(PASSWORD)
    await click("Make the account", "button", "body")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Your first message")

    await click("Connect a channel")
    await expect(page.get_by_role("link", name="Custom webhook", exact=True)).to_be_visible()
    await click("Slack")
    await page.get_by_label("Address").fill(ADDRESS)
    await page.get_by_label("Name").fill("#data-alerts")
    await click("Save & send test", "button")
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Delivered in")
    await expect(page.get_by_role("link", name="No", exact=True)).to_be_visible()
    await click("Yes")
    await click("Turn on Failed production runs", "button")
    await expect(page.get_by_role("button", name="Undo")).to_be_visible()

    await click("Overview", within="nav")
    await expect(page.get_by_role("heading", name="Send an event")).to_be_visible()  # a test is none
    await click("Team & tokens")
    await page.locator("#make").get_by_label("What it is for").fill("etl")
    await click("Make it", "button")
    pasted = await page.locator("pre", has_text="/v1/events").inner_text()
    token = re.search(r"Bearer (toc_\w+)", pasted)
    sent = re.search(r"-d '(.+)'$", pasted, re.DOTALL)
    assert token is not None
    assert sent is not None
    (written,) = re.findall(r"-d '(.*?)'", TEXT, re.DOTALL)
    assert json.loads(sent[1]) == json.loads(written)
    for event in (json.loads(written), json.loads(written) | {"run_id": "2", "labels": {}}):
        await tocsin.send(tocsin.client.with_token(token[1]), **event)
    await tocsin.settle()
    assert [one.text for one in slack.messages][1:] == ["❌ etl/orders failed in prod: disk full. Run 1."]

    await click("Events", within="nav")
    await page.locator("tr", has_text="1 sent").get_by_role("link", name="run.failed").click()
    await expect(page.locator("#drawer")).to_contain_text("#data-alerts")
    await page.locator("tr", has_text="no rule matched").get_by_role("link", name="run.failed").click()
    await expect(page.locator("#drawer")).to_contain_text("Nobody was told")
    await expect(page.locator("#drawer")).to_contain_text("the event has no label env")
    await context.close()
    assert clicked == set(re.findall(r"\*\*(.+?)\*\*", TEXT)) - ASIDE
