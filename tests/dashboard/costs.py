"""What pages ask: how often the API, and which queries of the store."""

import time
from contextvars import ContextVar
from typing import Any

import pytest

from tests.dashboard.filled import Filled
from tests.dashboard.pages_of import Forms
from tests.web.browser import Browser
from tocsin.web.dashboard.api import Api
from tocsin.web.sessions import Sessions

AT_A_PAGE = ContextVar("AT_A_PAGE", default=False)
"""Each request has a context of its own; what the worker asks has not."""


class Watched:
    """`queries`: milliseconds by name, `asked`: how many there were; both since `forget`, and only for pages."""

    def __init__(self, filled: Filled, monkeypatch: pytest.MonkeyPatch) -> None:
        self.forget()
        db = filled.tocsin.app.db
        read, answer, of = db.read, Api.answer, Sessions.of

        async def at_a_page(sessions: Sessions, *args: Any) -> Any:
            AT_A_PAGE.set(True)
            return await of(sessions, *args)

        async def timed(name: str, *args: Any) -> Any:
            if not AT_A_PAGE.get():
                return await read(name, *args)
            self.asked += 1
            start = time.perf_counter()
            try:
                return await read(name, *args)
            finally:
                self.queries[name] = self.queries.get(name, 0) + (time.perf_counter() - start) * 1000

        async def counted(api: Api, *args: Any, **named: Any) -> Any:
            self.calls += 1
            return await answer(api, *args, **named)

        monkeypatch.setattr(Sessions, "of", at_a_page)
        monkeypatch.setattr(db, "read", timed)
        monkeypatch.setattr(Api, "answer", counted)

    def forget(self) -> None:
        self.calls = self.asked = 0
        self.queries: dict[str, float] = {}


MOST_BYTES = 60_000
"""Of a page and all that it loads, packed. uPlot is fetched later, where its chart comes into view."""


async def first_load(browser: Browser, path: str) -> int:
    """How many bytes come with a page."""
    answer = await browser.get(path)
    assert answer.status == 200, path
    loads = {link for link in Forms(answer.body.decode()).links if link.startswith("/static/")}
    sizes = [int((await browser.get(link)).headers["content-length"]) for link in loads]
    return int(answer.headers["content-length"]) + sum(sizes)
