"""What is asked for in a dialog is to be had without a script, too: the browser opens it by itself."""

import pytest
from playwright.async_api import Browser, Page

from tests.harness import Running
from tests.web.browser import set_up

pytestmark = pytest.mark.anyio


async def press(page: Page, name: str) -> None:
    await page.get_by_role("button", name=name).first.click()


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
async def test_dialogs_open_without_a_script(tocsin: Running, chromium: Browser) -> None:
    admin = await set_up(tocsin)
    webhook = await tocsin.webhook(tocsin.receiver.hook("/hook"), name="Warehouse")
    context = await chromium.new_context(java_script_enabled=False)
    await context.add_cookies(
        [{"name": name, "value": one.value, "url": admin.origin} for name, one in admin.cookies.items()]
    )
    page = await context.new_page()
    await page.goto(f"{admin.origin}/events")
    await press(page, "Send a test event")
    await page.get_by_label("Title").fill("without a script")
    await page.get_by_role("button", name="Send", exact=True).click()
    assert "/events/evt_" in page.url
    assert "without a script" in await page.locator("main").inner_text()
    await page.goto(f"{admin.origin}/endpoints/{webhook['id']}/settings")
    await press(page, "Delete…")
    await press(page, "Cancel")
    assert not await page.locator("dialog#delete").is_visible()
    await press(page, "Delete…")
    await page.get_by_role("button", name="Delete", exact=True).click()
    assert page.url == f"{admin.origin}/endpoints"
    assert "Warehouse is deleted" in (await page.locator("#toasts").inner_text()).replace("“", "").replace("”", "")
    await context.close()
