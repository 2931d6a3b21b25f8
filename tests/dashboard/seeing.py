"""A window of Chromium, and what can go wrong in one: errors, refused loads, scripts that are none of ours."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, ConsoleMessage, Page, Request

from tests.web.browser import Browser as Forms

AXE = (Path(__file__).parent / "vendor" / "axe-core-4.14.1" / "axe.min.js").read_text()
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

# Nothing fades, either: what does is measured half-way.
WATCHES = """
window.__csp = [];
const still = new CSSStyleSheet();
still.replaceSync("*, ::before, ::after { transition: none !important; animation: none !important; }");
document.adoptedStyleSheets = [still];
addEventListener("securitypolicyviolation", (one) => window.__csp.push(`${one.violatedDirective}: ${one.blockedURI} ${one.sample}`));
"""  # noqa: E501
STRANGE = """() => {
  const found = [...window.__csp];
  if (window.__ran !== undefined) found.push("a script ran");
  for (const one of document.querySelectorAll("*")) {
    for (const { name, value } of one.attributes) {
      if (/^on/i.test(name) || name === "srcdoc" || (name === "style" && !one.closest(".uplot"))) found.push(`<${one.tagName} ${name}=${value}>`);
      if (/^\\s*(javascript|data|vbscript):/i.test(value) && /^(href|src|action|formaction|data-href|xlink:href)$/i.test(name)) found.push(`${name}=${value}`);
    }
    if (/^(base|iframe|object|embed|frame)$/i.test(one.tagName)) found.push(`<${one.tagName}>`);
  }
  return found;
}"""  # noqa: E501
WIDER = """() => {
  const most = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= most) return [];
  const clipped = (one) => { for (let at = one.parentElement; at; at = at.parentElement) if (getComputedStyle(at).overflowX !== "visible") return true; return false; };
  return [...document.body.querySelectorAll("*")].filter((one) => one.getBoundingClientRect().right > most + 1 && !clipped(one))
    .map((one) => `<${one.tagName.toLowerCase()} class="${one.className}"> ${one.textContent.trim().slice(0, 40)}`).slice(0, 3);
}"""  # noqa: E501


@dataclass
class Window:
    page: Page
    base: str
    trouble: list[str] = field(default_factory=list)
    meant: int = 200

    async def go(self, path: str, status: int = 200) -> None:
        """`status`: of the page itself. One that is an error is one in the console as well; no other is."""
        self.meant = status
        answer = await self.page.goto(self.base + path)
        assert answer is not None
        if answer.status != status:
            self.trouble.append(f"{path} is a {answer.status}")

    def said(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not (self.meant >= 400 and f"status of {self.meant}" in message.text):
            self.trouble.append(f"{self.page.url}: {message.text}")

    def asked(self, request: Request) -> None:
        if not request.url.startswith((self.base, "data:")):
            self.trouble.append(f"{self.page.url} asked {request.url}")

    async def axe(self) -> list[str]:
        """What axe-core finds. Of the rows of a table four stand for all."""
        options = {"runOnly": {"type": "tag", "values": TAGS}, "resultTypes": ["violations"]}
        around = {"include": [["html"]], "exclude": [["tbody tr:nth-child(n + 5)"]]}
        if not await self.page.evaluate("() => Boolean(window.axe)"):
            await self.page.evaluate(AXE)
        found: list[dict[str, Any]] = await self.page.evaluate(
            "async ([around, options]) => (await axe.run(around, options)).violations", [around, options]
        )
        return [f"{one['id']}: {node['html'][:160]}: {said_of(node)}" for one in found for node in one["nodes"][:2]]

    async def strange(self) -> list[str]:
        found: list[str] = await self.page.evaluate(STRANGE)
        return found

    async def wider_than(self, width: int) -> list[str]:
        """What sticks out of a window of this width."""
        await self.page.set_viewport_size({"width": width, "height": 800})
        found: list[str] = await self.page.evaluate(WIDER)
        return found


def said_of(node: dict[str, Any]) -> str:
    said = " ".join(str(node.get("failureSummary", "")).split())
    return said.removeprefix("Fix any of the following: ")[:240]


@asynccontextmanager
async def window(chromium: Browser, somebody: Forms, **options: Any) -> AsyncIterator[Window]:
    """Signed in as somebody is. `options` are Playwright's: color_scheme, viewport, reduced_motion …"""
    standard = {"viewport": {"width": 1400, "height": 900}, "timezone_id": "UTC", "locale": "en-GB"}
    context = await chromium.new_context(**{**standard, **options})
    await context.add_init_script(WATCHES)
    await context.add_cookies(
        [{"name": name, "value": one.value, "url": somebody.origin} for name, one in somebody.cookies.items()]
    )
    found = Window(await context.new_page(), somebody.origin)
    found.page.on("console", found.said)
    found.page.on("pageerror", lambda error: found.trouble.append(str(error)))
    found.page.on("dialog", lambda dialog: found.trouble.append(f"a dialog: {dialog.message}"))
    found.page.on("request", found.asked)
    try:
        yield found
    finally:
        await context.close()
