"""Every page of the dashboard, by PAGES, in a real browser: accessible, in light and dark, on a phone; and what others
wrote is text and nothing else. Each test looks at all pages before it says what is wrong with them."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser

from tests.dashboard.filled import Filled, attacking, company
from tests.dashboard.pages_of import Address, addresses
from tests.dashboard.seeing import Window, window

pytestmark = pytest.mark.anyio

HALF = 700
"""Zoomed to 200 %: half of a window of 1,400."""
PHONE = 390
NARROWEST = 320
"""What WCAG's reflow asks for: 1,280 at 400 %."""

ERRORS = (("/deliveries?cursor=zz", 400), ("/deliveries/nothing", 404), ("/no-such-page", 404))


@pytest.fixture(scope="module")
async def full(anyio_backend: object, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Filled]:
    folder = tmp_path_factory.mktemp("full")
    async with company({"TOCSIN_DATA_DIR": str(folder / "data"), "TOCSIN_DATABASE_URL": ""}, folder) as found:
        yield found


def lists(filled: Filled) -> list[Address]:
    """Pages that are there before there is anything to show: those whose paths name nothing."""
    return [one for one in addresses(filled) if "{" not in one.pattern]


async def look_at(at: Window, path: str, status: int = 200, *, whole: bool = False) -> list[str]:
    """What is wrong with one page."""
    await at.page.set_viewport_size({"width": 1400, "height": 900})
    await at.go(path, status)
    found = [f"light: {one}" for one in await at.axe()]
    await at.dark(True)
    found += [f"dark: {one}" for one in await (at.axe() if whole else at.axe("color-contrast"))]
    await at.dark(False)
    for width in (HALF, PHONE, NARROWEST):
        found += [f"sticks out at {width}: {one}" for one in await at.wider_than(width)]
    if whole:
        found += [f"phone: {one}" for one in await at.axe()]
    return [f"{path}: {one}" for one in found]


async def test_every_page_with_everything_in_it(full: Filled, chromium: Browser) -> None:
    async with window(chromium, full.people["operator"]) as at:
        found = [one for address in addresses(full) for one in await look_at(at, address.path)]
        for path, status in ERRORS:
            found += await look_at(at, path, status)
        assert not found + at.trouble, "\n".join(found + at.trouble)


async def test_every_page_with_nothing_in_it(
    chromium: Browser, anyio_backend: object, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("bare")
    store = {"TOCSIN_DATA_DIR": str(folder / "data"), "TOCSIN_DATABASE_URL": ""}
    async with company(store, folder, None) as bare, window(chromium, bare.people["operator"]) as at:
        bare.ids = {}
        found = [one for address in lists(bare) for one in await look_at(at, address.path)]
        assert not found + at.trouble, "\n".join(found + at.trouble)


async def test_what_others_wrote_is_text(
    chromium: Browser, anyio_backend: object, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # S4-17: in every name, title, message, label, link, answer
    folder = tmp_path_factory.mktemp("hostile")
    store = {"TOCSIN_DATA_DIR": str(folder / "data"), "TOCSIN_DATABASE_URL": ""}
    async with company(store, folder, attacking()) as hostile, window(chromium, hostile.people["operator"]) as at:
        found = []
        for address in addresses(hostile):
            await at.page.set_viewport_size({"width": 1400, "height": 900})
            await at.go(address.path)
            strange = await at.strange() + [f"at {PHONE}: {one}" for one in await at.wider_than(PHONE)]
            found += [f"{address.path}: {one}" for one in strange]
        assert not found + at.trouble, "\n".join(found + at.trouble)
