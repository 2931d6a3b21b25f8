"""A commit whose answer never came: what it leased is nobody's, and goes out at once, not when the lease ends."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.harness import Running
from tocsin.store.database import StoreUnavailable, Transaction

pytestmark = pytest.mark.anyio


def lose_the_answer(tocsin: Running, monkeypatch: pytest.MonkeyPatch, query: str) -> None:
    """The next transaction that runs `query` is committed, and then said not to be."""
    db = tocsin.app.db
    real = db.transaction
    lost: list[str] = []

    @asynccontextmanager
    async def transaction() -> AsyncIterator[Transaction]:
        ran: list[str] = []
        async with real() as tx:
            yield Watched(tx, ran)
        if query in ran and not lost:
            lost.append(query)
            raise StoreUnavailable("the answer to COMMIT was lost")

    monkeypatch.setattr(db, "transaction", transaction)


class Watched:
    """A transaction that notes which queries it ran."""

    def __init__(self, tx: Transaction, ran: list[str]) -> None:
        self.tx = tx
        self.ran = ran

    def __getattr__(self, method: str) -> Any:
        call = getattr(self.tx, method)

        async def noted(first: Any, *rest: Any) -> Any:
            self.ran.extend([first] if isinstance(first, str) else [name for name, _ in first])
            return await call(first, *rest)

        return noted


async def test_an_intake_in_doubt_is_sent_at_once(tocsin: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    hook = tocsin.receiver.hook("/hook")
    await tocsin.webhook(hook, enabled_events=["run.failed"])
    lose_the_answer(tocsin, monkeypatch, "insert_events")
    answer = await tocsin.client.post("/v1/events", {"type": "run.failed", "id": "e1"})
    assert answer.status == 503
    await tocsin.settle()
    hook.expect(1)
    again = await tocsin.client.post("/v1/events", {"type": "run.failed", "id": "e1"})
    assert again.json["duplicate"] is True
    await tocsin.settle()
    assert await tocsin.statuses() == {"delivered": 1}


async def test_a_claim_in_doubt_is_claimed_again(tocsin: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    hook = tocsin.receiver.hook("/hook")
    hook.answer(503)
    await tocsin.webhook(hook, enabled_events=["run.failed"])
    await tocsin.send(id="e1")
    await tocsin.settle()
    hook.expect(1)
    lose_the_answer(tocsin, monkeypatch, "claim_retries")
    await tocsin.move(3)
    hook.expect(1)
    assert await tocsin.statuses() == {"delivered": 1}
