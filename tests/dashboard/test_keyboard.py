"""Everything by keys alone, and focus where one expects it."""

import pytest
from playwright.async_api import Page, expect

from tests.dashboard.conftest import Look
from tests.dashboard.test_deliveries_page import two_deliveries
from tests.harness import Running

pytestmark = pytest.mark.anyio

MOST_TABS = 150
REACHED = """() => {
  const at = document.activeElement;
  if (!at || at === document.body) return null;
  const style = getComputedStyle(at), seen = at.checkVisibility({ visibilityProperty: true });
  const marked = style.outlineStyle !== 'none' || style.boxShadow !== 'none';
  at.dataset.reached = 'yes';
  return { text: (at.textContent || at.value || at.name || '').trim().slice(0, 40), seen, marked };
}"""
LEFT_OUT = """() => [...document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex="0"]')]
  .filter((one) => one.checkVisibility({ visibilityProperty: true }) && !one.disabled && one.tabIndex >= 0
    && one.type !== 'hidden' && !one.dataset.reached && !(one.type === 'radio' && !one.checked))
  .map((one) => one.outerHTML.slice(0, 120))"""


WITHIN = """(selector) => {
  const at = document.activeElement;
  return at === document.body || document.querySelector(selector).contains(at);
}"""
MOVING = """() => [...document.querySelectorAll('*')]
  .filter((one) => parseFloat(getComputedStyle(one).transitionDuration) > 0.01).length"""


async def tab_through(page: Page, most: int = MOST_TABS) -> list[str]:
    """What is wrong on the way through a page by Tab."""
    found = []
    await page.locator(".skip").focus()  # the first; some pages begin at a field
    for number in range(most):
        if number:
            await page.keyboard.press("Tab")
        reached = await page.evaluate(REACHED)
        if reached is None:
            break
        if not reached["marked"]:
            found.append(f"no mark of focus: {reached}")
        if not reached["seen"]:
            found.append(f"focus on what nobody sees: {reached['text']}")
    return found + [f"not reached: {one}" for one in await page.evaluate(LEFT_OUT)]


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
async def test_everything_is_reached_and_seen(tocsin: Running, look: Look) -> None:
    await two_deliveries(tocsin)
    at = await look("developer")
    for path in ("/", "/deliveries", "/rules/new", "/endpoints/new", "/notifications"):
        await at.goto(path)
        assert await tab_through(at.page) == [], path


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
async def test_the_palette_and_the_keys(tocsin: Running, look: Look) -> None:
    await two_deliveries(tocsin)
    at = await look("developer")
    page = at.page
    await at.goto("/deliveries")
    find = page.locator("[commandfor=palette]")
    await find.focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("#palette input")).to_be_focused()
    for _ in range(3):
        await page.keyboard.press("Tab")  # a dialog keeps it
        assert await page.evaluate(WITHIN, "#palette")
    await page.keyboard.press("Escape")
    await expect(find).to_be_focused()
    await page.keyboard.press("Control+k")
    await page.keyboard.type("silences")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/silences")
    await page.keyboard.press("g")
    await page.keyboard.press("d")
    await page.wait_for_url("**/deliveries")
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await expect(page.locator("#drawer h2").first).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.locator("#drawer")).to_be_hidden()
    assert await page.evaluate("document.activeElement.closest('[data-row]') !== null"), "back where it came from"
    await page.keyboard.press("?")
    await expect(page.locator("#keys > div")).to_be_visible()
    await page.locator("[data-keys-switch]").click()
    await page.keyboard.press("Escape")
    await page.keyboard.press("?")
    await expect(page.locator("#keys > div")).to_be_hidden()


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
async def test_who_wants_no_motion_and_own_colours(tocsin: Running, look: Look) -> None:
    await two_deliveries(tocsin)
    at = await look("developer")
    await at.page.emulate_media(reduced_motion="reduce", forced_colors="active")
    await at.goto("/deliveries")
    assert await at.page.evaluate(MOVING) == 0
    badge = at.page.locator(".st").first
    await expect(badge).to_be_visible()
    assert await badge.inner_text(), "a state is a word, not a colour alone"
