"""What pages ask: how often the API, and which queries of the store."""

import time
from typing import Any

import pytest

from tests.dashboard.filled import Filled
from tocsin.web.dashboard.api import Api


class Watched:
    """`queries`: milliseconds by name, `asked`: how many there were; both since `forget`, and in all of the process."""

    def __init__(self, filled: Filled, monkeypatch: pytest.MonkeyPatch) -> None:
        self.forget()
        db = filled.tocsin.app.db
        read, answer = db.read, Api.answer

        async def timed(name: str, *args: Any) -> Any:
            self.asked += 1
            start = time.perf_counter()
            try:
                return await read(name, *args)
            finally:
                self.queries[name] = self.queries.get(name, 0) + (time.perf_counter() - start) * 1000

        async def counted(api: Api, *args: Any, **named: Any) -> Any:
            self.calls += 1
            return await answer(api, *args, **named)

        monkeypatch.setattr(db, "read", timed)
        monkeypatch.setattr(Api, "answer", counted)

    def forget(self) -> None:
        self.calls = self.asked = 0
        self.queries: dict[str, float] = {}
