"""Makes the pictures of docs/images: what people see in Slack, Teams, Discord and mail, the demo's page, the dashboard.

    .venv/bin/python -m tests.make_images            # all of them
    .venv/bin/python -m tests.make_images previews   # or: demo, moving, dashboard

It needs Playwright (in the development requirements) and a Chromium (see programs.py). Where pngquant is installed, the
pictures are made small with it.
"""

import asyncio
import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

import msgspec
from playwright.async_api import async_playwright
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from tests.dashboard.filled import company
from tests.dashboard.seeing import window as seeing
from tests.moving_picture import MovingPicture
from tests.programs import CHROMIUM, FLAGS
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

MOVING: ViewportSize = {"width": 1080, "height": 790}
SHARPER = 1.5
"""More points than the page's width, for screens that show them."""
LOOK_MS = 500
LEAST_MS, MOST_MS, LAST_MS = 900, 2500, 6000
"""How long a frame is shown at the least, at the most, and at the end."""
SETTLED_S = 3.0
RECOVERED = '<span class="reaction">✅ 1</span>'

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


@contextmanager
def playing() -> Iterator[tuple[str, IO[str]]]:
    """A running `tocsin demo`: its page, and what it prints."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    call = [sys.executable, "-c", "from tocsin.cli.main import run; run()", "demo", "--port", str(port)]
    process = subprocess.Popen(call, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{port}/demo", process.stdout
    finally:
        process.terminate()
        process.wait()


def demo(browser: Browser) -> None:
    """The page after the story, as `tocsin demo` shows it."""
    with playing() as (url, said):
        for line in said:
            if line.startswith("The story is over"):
                break
        for scheme in SCHEMES:
            page = opened(browser, scheme, 1240)
            page.goto(url)
            page.wait_for_selector("#slack_bot .item", timeout=STORY_S * 1000)
            time.sleep(2)
            save(page, f"demo-{scheme}")
            page.close()


def moving(browser: Browser) -> None:
    """The same page while the story goes on: whatever changes is a frame. What the page is told is written down first,
    and shown to it afterwards, so that no frame is missed where the machine is slow."""
    with playing() as (url, said):
        said.readline()
        told = all_news(url)
        for scheme in SCHEMES:
            window = browser.new_context(
                viewport=MOVING, device_scale_factor=SHARPER, color_scheme=scheme,  # type: ignore[arg-type]
                reduced_motion="reduce", locale="en-GB", timezone_id="UTC",
            )  # fmt: skip
            page, picture = window.new_page(), MovingPicture(browser.new_page())
            page.route("**/demo/news*", lambda route: route.fulfill(json={"latest": 0, "items": [], "runs": ""}))
            page.goto(url)
            shows: list[int] = []
            for news, for_ms in told:
                page.evaluate("news => { after = 0; show(news); after = 0; }", news)
                if picture.add(page.screenshot()):
                    shows.append(for_ms)
                else:
                    shows[-1] += for_ms
            file = IMAGES / f"demo-moving-{scheme}.webp"
            picture.save(file, shows)
            print(f"{file.name}: {len(shows)} frames, {sum(shows) / 1000:.0f} s, {file.stat().st_size // 1000} kB")
            window.close()


def all_news(url: str) -> list[tuple[Any, int]]:
    """Each state of the page until Slack's message has its last mark, and for how many milliseconds it stood."""
    found: list[tuple[Any, int]] = []
    latest = time.monotonic() + STORY_S
    while time.monotonic() < latest:
        with urllib.request.urlopen(f"{url}/news", timeout=STORY_S) as answer:
            news = json.load(answer)
        if found and found[-1][0] == news:
            found[-1] = (news, min(found[-1][1] + LOOK_MS, MOST_MS))
        else:
            found.append((news, LEAST_MS))
        if RECOVERED in str(news["items"]):
            latest = min(latest, time.monotonic() + SETTLED_S)
        time.sleep(LOOK_MS / 1000)
    assert RECOVERED in str(found[-1][0]["items"]), "the story did not end"
    return [*found[:-1], (found[-1][0], LAST_MS)]


async def dashboard() -> None:
    """The overview and an event's answer to "why?", of a company that has run it for two days."""
    with TemporaryDirectory() as data:
        store = {"TOCSIN_DATA_DIR": data, "TOCSIN_DATABASE_URL": ""}
        async with company(store, Path(data)) as filled, async_playwright() as playwright:
            chromium = await playwright.chromium.launch(executable_path=CHROMIUM.path, args=FLAGS)
            for scheme in SCHEMES:
                size = {"width": WIDTH, "height": 820}
                async with seeing(chromium, filled.admin, viewport=size, color_scheme=scheme) as seen:
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
    wanted = sys.argv[1:] or ["previews", "demo", "moving", "dashboard"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM.path,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        for name, make in (("previews", previews), ("demo", demo), ("moving", moving)):
            if name in wanted:
                make(browser)
        browser.close()
    if "dashboard" in wanted:
        asyncio.run(dashboard())


if __name__ == "__main__":
    main()
