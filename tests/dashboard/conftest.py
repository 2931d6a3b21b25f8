"""Chromium, and somebody signed in who looks at a running Tocsin with it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.async_api import Browser, Page, async_playwright

from tests.harness import Running
from tests.programs import CHROMIUM, FLAGS
from tests.web.browser import PASSWORD, account_of, set_up
from tests.web.browser import Browser as Forms


@pytest.fixture(scope="session")
async def chromium() -> AsyncIterator[Browser]:
    path = CHROMIUM.found()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        await browser.close()


@dataclass
class Looking:
    """A page in the browser, and what went wrong in it: `trouble` must be empty at the end."""

    page: Page
    base: str
    trouble: list[str] = field(default_factory=list)

    async def goto(self, path: str) -> None:
        await self.page.goto(self.base + path)

    @property
    def path(self) -> str:
        return self.page.url.removeprefix(self.base)


def is_late(error: object) -> bool:
    """The browser gave up to move from one page to the next smoothly, as it does where the machine is busy."""
    return str(error).startswith("Transition was ")


Look = Callable[..., Awaitable[Looking]]


@pytest.fixture
async def look(tocsin: Running, chromium: Browser) -> AsyncIterator[Look]:
    """`await look("developer", width=390, dark=True)`: somebody of that role, signed in, in a window of their own.
    `user`: the id of whom it is."""
    opened: list[tuple[Looking, Any]] = []
    people: dict[str, Forms] = {}

    async def one(
        role: str = "admin", width: int = 1400, height: int = 900, dark: bool = False, user: str = ""
    ) -> Looking:
        if not people:
            people["admin"] = await set_up(tocsin)
        if role not in people:
            email = f"{role}@example.com"
            await account_of(tocsin, email, role, user=user)
            people[role] = Forms(tocsin)
            (await people[role].log_in(email, PASSWORD)).ok()
        forms = people[role]
        context = await chromium.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            timezone_id="UTC",
            locale="en-GB",
        )
        await context.grant_permissions(["clipboard-read", "clipboard-write"])
        base = forms.origin
        await context.add_cookies(
            [{"name": name, "value": morsel.value, "url": base} for name, morsel in forms.cookies.items()]
        )
        page = await context.new_page()
        looking = Looking(page, base)
        page.on("console", lambda said: looking.trouble.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: looking.trouble.append(str(error)) if not is_late(error) else None)
        opened.append((looking, context))
        return looking

    yield one
    for looking, context in opened:
        await context.close()
        assert not looking.trouble, looking.trouble
