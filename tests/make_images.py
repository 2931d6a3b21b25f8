"""Makes the pictures of docs/images: what people see in Slack, Teams, Discord and mail, the demo's page, the dashboard.

    .venv/bin/python -m tests.make_images            # all of them
    .venv/bin/python -m tests.make_images previews   # or: demo, dashboard

It needs Playwright (in the development requirements) and a Chromium (see chromium.py). Where pngquant is installed, the
pictures are made small with it.
"""

import asyncio
import shutil
import socket
import subprocess
import sys
import time
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from playwright.async_api import async_playwright
from playwright.sync_api import Browser, Page, sync_playwright

from tests.chromium import FLAGS, chromium_path
from tests.dashboard.filled import company
from tests.dashboard.seeing import window
from tocsin.compose.message import compose
from tocsin.model.endpoint import Target
from tocsin.model.wire import Sending
from tocsin.previews import PREVIEWS
from tocsin.providers import PROVIDERS
from tocsin.web.api.preview_samples import Sample, sample

IMAGES = Path(__file__).parent.parent / "docs" / "images"
SCHEMES = ("light", "dark")
AT_MS = 1_795_226_400_000
WIDTH = 1240
MOST_BYTES = 150_000
STORY_S = 60

SHOWN: dict[Sample, str] = {
    "failed": "A run failed",
    "succeeded": "A run succeeded",
    "rollback": "A rollback",
    "hpo-study": "A study is over",
}
CHANNELS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "slack": ("slack_bot", "", {"bot_token": "xoxb-1", "channel": "#alerts", "mention_on_failure": "here"}),
    "teams": ("teams", "https://teams.example", {"full_width": False}),
    "discord": ("discord", "https://discord.example", {}),
    "email": ("email", "", {"to": ["ana@example.com"], "from_address": "a@example.com", "smtp_host": "mail.example"}),
}
"""By the picture's name: the provider's kind, an address, settings. Nothing is sent anywhere."""

STYLE = """
body { margin: 0; padding: 20px; font: 14px/1.4 system-ui, "Noto Sans", sans-serif; background: #fff; color: #57606a; }
main { display: grid; grid-template-columns: 1fr 1fr; gap: 20px 24px; align-items: start; }
section { min-width: 0; }
h2 { margin: 0 0 6px; font-size: 14px; font-weight: 600; }
.channel { border: 1px solid #d0d7de; border-radius: 8px; overflow: hidden; }
.channel > * { border-radius: 0; max-width: none; }
.channel > .slack { padding: 12px 16px; }
iframe { display: block; width: 100%; border: 0; }
@media (prefers-color-scheme: dark) {
  body { background: #0d1117; color: #9198a1; }
  .channel { border-color: #3d444d; }
}
"""


def sheet(kind: str, address: str, settings: dict[str, Any]) -> str:
    """A page of the four messages."""
    provider, preview = PROVIDERS[kind], PREVIEWS[kind]
    target = Target(address, msgspec.convert(settings, provider.settings_type))
    cells = ""
    for name, title in SHOWN.items():
        event, run = sample(name, "default", AT_MS)
        sending = Sending("dlv_1", AT_MS // 1000, target, compose(event, run), run_key="0" * 32)
        made = preview.html(provider.render(sending))
        if preview.kind == "document":
            made = f'<iframe srcdoc="{escape(made)}"></iframe>'
        cells += f'<section><h2>{escape(title)}</h2><div class="channel">{made}</div></section>'
    return f"<!doctype html><meta charset=utf-8><style>{preview.style}{STYLE}</style><main>{cells}</main>"


def previews(browser: Browser) -> None:
    for scheme in SCHEMES:
        for name, channel in CHANNELS.items():
            page = opened(browser, scheme, 800)
            page.set_content(sheet(*channel), wait_until="load")
            page.evaluate(
                "for (const one of document.querySelectorAll('iframe'))"
                " one.style.height = one.contentDocument.documentElement.scrollHeight + 'px'"
            )
            save(page, f"{name}-{scheme}", whole=True)
            page.close()


def demo(browser: Browser) -> None:
    """The page after the story, as `tocsin demo` shows it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    call = [sys.executable, "-c", "from tocsin.cli.main import run; run()", "demo", "--port", str(port)]
    process = subprocess.Popen(call, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("The story is over"):
                break
        for scheme in SCHEMES:
            page = opened(browser, scheme, 1240)
            page.goto(f"http://127.0.0.1:{port}/demo")
            page.wait_for_selector("#slack_bot .item", timeout=STORY_S * 1000)
            time.sleep(2)
            save(page, f"demo-{scheme}")
            page.close()
    finally:
        process.terminate()
        process.wait()


async def dashboard() -> None:
    """The overview and an event's answer to "why?", of a company that has run it for two days."""
    with TemporaryDirectory() as data:
        store = {"TOCSIN_DATA_DIR": data, "TOCSIN_DATABASE_URL": ""}
        async with company(store, Path(data)) as filled, async_playwright() as playwright:
            chromium = await playwright.chromium.launch(executable_path=chromium_path(), args=FLAGS)
            for scheme in SCHEMES:
                size = {"width": WIDTH, "height": 820}
                async with window(chromium, filled.admin, viewport=size, color_scheme=scheme) as seen:
                    for name, path in (("overview", "/"), ("run", f"/runs/{filled.runs['failed']}")):
                        await seen.go(path)
                        file = IMAGES / f"{name}-{scheme}.png"
                        await seen.page.screenshot(path=file)
                        made_small(file)
            await chromium.close()


def opened(browser: Browser, scheme: str, height: int) -> Page:
    return browser.new_page(viewport={"width": WIDTH, "height": height}, color_scheme=scheme)  # type: ignore[arg-type]


def save(page: Page, name: str, *, whole: bool = False) -> None:
    file = IMAGES / f"{name}.png"
    page.screenshot(path=file, full_page=whole)
    made_small(file)


def made_small(file: Path) -> None:
    if quantise := shutil.which("pngquant"):
        subprocess.run(
            [quantise, "--force", "--skip-if-larger", "--strip", "--ext", ".png", "128", str(file)], check=False
        )
    size = file.stat().st_size
    print(f"{file.name}: {size // 1000} kB{' - too large' if size > MOST_BYTES else ''}")


def main() -> None:
    wanted = sys.argv[1:] or ["previews", "demo", "dashboard"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium_path(),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        for name, make in (("previews", previews), ("demo", demo)):
            if name in wanted:
                make(browser)
        browser.close()
    if "dashboard" in wanted:
        asyncio.run(dashboard())


if __name__ == "__main__":
    main()
