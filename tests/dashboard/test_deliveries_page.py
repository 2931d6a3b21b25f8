"""The log of deliveries in a browser."""

import pytest
from playwright.async_api import expect

from tests.dashboard.conftest import Look
from tests.harness import Running

pytestmark = pytest.mark.anyio


async def two_deliveries(tocsin: Running) -> None:
    good, bad = tocsin.receiver.hook("/good"), tocsin.receiver.hook("/bad")
    bad.always(410)
    await tocsin.webhook(good, name="good", enabled_events=["run.failed"])
    await tocsin.webhook(bad, name="bad", enabled_events=["run.failed"])
    await tocsin.send(type="run.failed", pipeline="etl", run_id="r1")
    await tocsin.settle()
    good.expect(1)
    bad.all_new()


async def test_a_list_a_drawer_and_a_page(tocsin: Running, look: Look) -> None:
    await two_deliveries(tocsin)
    at = await look("developer")
    await at.goto("/deliveries")
    page = at.page
    assert await page.locator("tbody tr").count() == 2
    await page.get_by_role("link", name="etl failed").first.click()
    await expect(page.locator("#drawer h1")).to_have_text("etl failed")
    await page.keyboard.press("Escape")
    await expect(page.locator("#drawer")).to_be_hidden()
    await expect(page.get_by_role("link", name="etl failed").first).to_be_focused()
    await at.goto("/deliveries?status=dead")
    await expect(page.locator("tbody tr")).to_have_count(1)
    async with page.expect_download() as downloading:
        await page.get_by_role("link", name="CSV").click()
    found = await downloading.value
    assert found.suggested_filename == "deliveries.csv"
    assert [line.count("dlv_") for line in (await found.path()).read_text("utf-8").splitlines()] == [0, 1]
