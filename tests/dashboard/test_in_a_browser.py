"""Every page of the dashboard, by PAGES, in a real browser: accessible, in light and dark, on a phone; and what others
wrote is text and nothing else. Each test looks at all pages before it says what is wrong with them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser

from tests.dashboard.filled import Filled, Say, attacking, company, plainly
from tests.dashboard.pages_of import addresses
from tests.dashboard.seeing import Window, window
from tests.dashboard.test_keyboard import tab_through

pytestmark = pytest.mark.anyio

HALF = 700
"""Zoomed to 200 %: half of a window of 1,400."""
PHONE = 390
MOST_TABS = 700
"""Lists have fifty rows with several links each."""
NARROWEST = 320
"""What WCAG's reflow asks for: 1,280 at 400 %."""

ERRORS = (("/deliveries?cursor=zz", 400), ("/deliveries/nothing", 404), ("/no-such-page", 404))
HELP = (("/help/errors", 200), ("/help/errors/message-refused", 200), ("/help/errors/no-such-page", 404))


async def look_at(at: Window, path: str, status: int = 200) -> list[str]:
    """What is wrong with one page."""
    await at.page.set_viewport_size({"width": 1400, "height": 900})
    await at.go(path, status)
    found = await at.axe()
    for width in (HALF, NARROWEST):
        found += [f"sticks out at {width}: {one}" for one in await at.wider_than(width)]
    return [f"{path}: {one}" for one in found]


@asynccontextmanager
async def told(folder: Path, say: Say | None) -> AsyncIterator[Filled]:
    async with company({"TOCSIN_DATA_DIR": str(folder / "data"), "TOCSIN_DATABASE_URL": ""}, folder, say) as found:
        yield found


def in_proof(*values: Any) -> Any:
    return pytest.param(*values, marks=pytest.mark.proof)


@pytest.mark.parametrize(("scheme", "step"), [("dark", 2), in_proof("dark", 1), in_proof("light", 1)])
async def test_every_page_with_everything_in_it(tmp_path: Path, chromium: Browser, scheme: str, step: int) -> None:
    # one page of so many
    async with told(tmp_path, plainly) as full:
        async with window(chromium, full.people["operator"], color_scheme=scheme) as at:
            found = [one for address in addresses(full)[::step] for one in await look_at(at, address.path)]
            for path, status in (*ERRORS, *HELP):
                found += await look_at(at, path, status)
        assert not found + at.trouble, "\n".join(found + at.trouble)


@pytest.mark.parametrize("scheme", [in_proof("light"), in_proof("dark")])
async def test_every_page_with_nothing_in_it(tmp_path: Path, chromium: Browser, scheme: str) -> None:
    async with told(tmp_path, None) as bare:
        async with window(chromium, bare.people["operator"], color_scheme=scheme) as at:
            found = [one for address in addresses(bare) for one in await look_at(at, address.path)]
        assert not found + at.trouble, "\n".join(found + at.trouble)


@pytest.mark.proof
async def test_everything_on_every_page_is_reached_by_tab(tmp_path: Path, chromium: Browser) -> None:
    async with told(tmp_path, plainly) as full, window(chromium, full.people["operator"]) as at:
        found = []
        for address in addresses(full):
            await at.go(address.path)
            found += [f"{address.path}: {one}" for one in await tab_through(at.page, MOST_TABS)]
        assert not found + at.trouble, "\n".join(found + at.trouble)


async def test_what_others_wrote_is_text(tmp_path: Path, chromium: Browser) -> None:
    # in every name, title, message, label, link, answer
    async with told(tmp_path, attacking()) as hostile, window(chromium, hostile.people["operator"]) as at:
        found = []
        for address in addresses(hostile):
            await at.page.set_viewport_size({"width": 1400, "height": 900})
            await at.go(address.path)
            strange = await at.strange() + [f"at {PHONE}: {one}" for one in await at.wider_than(PHONE)]
            found += [f"{address.path}: {one}" for one in strange]
        assert not found + at.trouble, "\n".join(found + at.trouble)
