"""A page that stays open while much happens: it shows the newest, grows no longer, and misses nothing."""

import asyncio
import time
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.dashboard.conftest import Look, Looking
from tests.harness import Running

pytestmark = pytest.mark.anyio

PER_S = 50
LATEST_MS = 5000
"""What happens is shown within this, on a machine that does other things as well."""
OLDEST_MS = 15_000
"""The same where the machine has much else to do: a page asks once in ten seconds at the least."""
MOST_GROWN = 1.3
"""Within an hour, of what a page holds after the first minutes: a list has at times a few more words in it."""

KEPT = ("Nodes", "JSEventListeners", "JSHeapUsedSize")
"""What Chromium counts, also of what is in no document any more but cannot be let go."""


async def events(tocsin: Running, seconds: float, first: int) -> int:
    """50 a second; returns the number after the last one."""
    began, number = time.monotonic(), first
    for _ in range(round(seconds * PER_S)):
        late = began + (number - first) / PER_S - time.monotonic()
        if late > 0:
            await asyncio.sleep(late)
        await tocsin.send(
            type="run.failed", pipeline=f"etl/{number % 7}", run_id=f"r{number}", title=f"number {number}"
        )
        number += 1
        tocsin.clock.move(1 / PER_S)
        tocsin.app.timers.seen_ms = tocsin.clock.now_ms
    return number


async def watching(tocsin: Running, look: Look, path: str) -> Looking:
    if not tocsin.receiver.hooks:
        await tocsin.webhook(tocsin.receiver.hook("/all"), enabled_events=["run.*"])
        await tocsin.send(type="run.failed", pipeline="etl/0", run_id="r", title="the first")
        await tocsin.settle()
    at = await look("developer")
    await at.goto(path)
    await expect(at.page.locator("[data-live-switch]")).to_have_attribute("data-state", "live")
    return at


async def all_heard(tocsin: Running) -> None:
    await tocsin.settle()
    for hook in tocsin.receiver.hooks.values():
        hook.all_new()


async def shows(page: Page, text: str, latest_ms: float = LATEST_MS) -> None:
    await expect(page.locator("[data-live]")).to_contain_text(text, timeout=latest_ms)


async def kept(page: Page) -> dict[str, float]:
    """Of KEPT, after a collection of garbage."""
    session = await page.context.new_cdp_session(page)
    await session.send("Performance.enable")
    await session.send("HeapProfiler.collectGarbage")
    found = (await session.send("Performance.getMetrics"))["metrics"]
    await session.detach()
    return {one["name"]: one["value"] for one in found if one["name"] in KEPT}


async def stays_small(tocsin: Running, look: Look, paths: tuple[str, ...], rounds: int, seconds: float) -> None:
    pages = {path: (await watching(tocsin, look, path)).page for path in paths}
    number = await events(tocsin, 2, 1)  # the lists are full
    for page in pages.values():
        await shows(page, f"number {number - 1}")
    first: dict[str, dict[str, float]] = {}
    for one in range(rounds):
        number = await events(tocsin, seconds, number)
        began = time.monotonic()
        for path, page in pages.items():
            await shows(page, f"number {number - 1}", OLDEST_MS)
            late, now = time.monotonic() - began, await kept(page)
            print(f"{path} {(one + 1) * seconds:.0f} s, {number - 1} events: {late:.1f} s behind, {now}", flush=True)
            first.setdefault(path, now)  # until then the browser compiles what it runs often
            for name in KEPT:
                assert now[name] <= first[path][name] * MOST_GROWN, (path, name, first[path], now)
    await all_heard(tocsin)


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
async def test_an_open_page_stays_small_and_shows_the_newest(tocsin: Running, look: Look) -> None:
    await stays_small(tocsin, look, ("/events",), 2, 2)


@pytest.mark.proof
@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
async def test_open_pages_stay_small_for_an_hour(tocsin: Running, look: Look) -> None:
    await stays_small(tocsin, look, ("/events", "/deliveries"), 12, 300)


async def test_after_a_gap_nothing_is_missing(tocsin: Running, look: Look) -> None:
    at = await watching(tocsin, look, "/events")

    async def away(route: Any) -> None:
        await route.abort()

    await at.page.route("**/v1/stream*", away)
    await at.page.route("**/events", away)
    tocsin.hub.stop()  # every stream ends, and no other begins
    await expect(at.page.locator("[data-live-switch]")).to_have_attribute("data-state", "lost")
    await tocsin.send(type="run.failed", pipeline="etl/0", run_id="r2", title="while it was away")
    await tocsin.settle()
    tocsin.hub.stopped = ""
    await at.page.unroute_all()
    await expect(at.page.locator("[data-live]")).to_contain_text("while it was away", timeout=20_000)
    at.trouble.clear()
    await all_heard(tocsin)


async def test_a_page_can_be_held_still(tocsin: Running, look: Look) -> None:
    at = await watching(tocsin, look, "/events")
    await at.page.locator("[data-live-switch]").click()
    await expect(at.page.locator("[data-live-switch]")).to_have_attribute("data-state", "paused")
    await tocsin.send(type="run.failed", pipeline="etl/0", run_id="r2", title="not looked for")
    await tocsin.settle()
    await expect(at.page.locator("[data-live]")).not_to_contain_text("not looked for")
    await at.page.locator("[data-live-switch]").click()
    await shows(at.page, "not looked for")
    await all_heard(tocsin)
