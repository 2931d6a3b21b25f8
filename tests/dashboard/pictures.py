"""Makes the pictures of docs/images/dashboard: pages of a small company, in light, in dark and on a phone.

    .venv/bin/python -m tests.dashboard.pictures

It needs a Chromium (see tests/programs.py). Where pngquant is installed, the pictures are made small with it.
"""

import asyncio
import shutil
import subprocess
import tempfile
from pathlib import Path

from playwright.async_api import Browser, async_playwright

from tests.dashboard.filled import Filled, company, plainly
from tests.dashboard.pages_of import addresses
from tests.programs import CHROMIUM

IMAGES = Path(__file__).parents[2] / "docs" / "images" / "dashboard"
PAGES = {
    "overview": "/",
    "events": "/events",
    "why": "/events/{id:path}",
    "deliveries": "/deliveries",
    "dead-letters": "/dead-letters",
    "run": "/runs/{id:path}",
    "pipelines": "/pipelines",
    "endpoint": "/endpoints/{id}",
    "new-endpoint": "/endpoints/new",
    "rule": "/rules/{id}",
    "silences": "/silences",
    "sources": "/sources",
    "notifications": "/notifications",
    "team": "/team",
}
ON_A_PHONE = ("overview", "why", "deliveries", "run")
WINDOWS = {
    "light": {"width": 1440, "height": 900},
    "dark": {"width": 1440, "height": 900},
    "phone": {"width": 390, "height": 844},
}


async def pictures(chromium: Browser, filled: Filled) -> None:
    paths = {one.pattern: one.path for one in addresses(filled)}
    base = filled.admin.origin
    for kind, size in WINDOWS.items():
        context = await chromium.new_context(
            viewport={"width": size["width"], "height": size["height"]},
            color_scheme="dark" if kind == "dark" else "light",
            timezone_id="UTC",
            locale="en-GB",
        )
        await context.add_cookies(
            [{"name": name, "value": morsel.value, "url": base} for name, morsel in filled.admin.cookies.items()]
        )
        page = await context.new_page()
        for name, pattern in PAGES.items():
            if kind == "phone" and name not in ON_A_PHONE:
                continue
            await page.goto(base + paths[pattern])
            if name == "deliveries" and kind != "phone":
                await page.locator("a[data-drawer]").nth(3).click()
                await page.locator("#drawer h2").first.wait_for()
            await page.screenshot(path=IMAGES / f"{name}-{kind}.png")
        await context.close()


def smaller() -> None:
    if (pngquant := shutil.which("pngquant")) is not None:
        files = [str(file) for file in IMAGES.glob("*.png")]
        subprocess.run([pngquant, "--force", "--ext", ".png", "--speed", "1", "--strip", "64", *files], check=True)


async def main() -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        store = {"TOCSIN_DATA_DIR": f"{folder}/data", "TOCSIN_DATABASE_URL": ""}
        async with company(store, Path(folder), plainly) as filled, async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=CHROMIUM.path, args=["--no-sandbox"])
            await pictures(browser, filled)
            await browser.close()
    smaller()


if __name__ == "__main__":
    asyncio.run(main())
