"""How much each page asks: a table that is held to, and that has nothing to do with how much there is."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.conftest import own_store
from tests.dashboard.costs import Watched
from tests.dashboard.filled import Filled, company
from tests.dashboard.pages_of import addresses

pytestmark = pytest.mark.anyio

GOLDEN = Path(__file__).with_name("page_costs.txt")
HEAD = """\
# What a page asks when it is looked at again: calls of the API, and queries of the store. `--update-golden` writes it.
"""
MANY = 60
FEW = 5
"""Queries more where there is something to ask about: a failing endpoint, a run of an event. Of 60 things one by one it
would be 60 more."""


class Cost(NamedTuple):
    calls: int
    queries: int


MOST = Cost(9, 25)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.proof)])
async def filled(request: pytest.FixtureRequest, anyio_backend: object, tmp_path: Path) -> AsyncIterator[Filled]:
    async with company(own_store(request, tmp_path, "costs"), tmp_path) as found:
        yield found


def written_down() -> dict[str, Cost]:
    """By page; what each may ask."""
    rows = [line.split(maxsplit=2) for line in GOLDEN.read_text().splitlines() if not line.startswith("#")]
    return {pattern: Cost(int(calls), int(queries)) for calls, queries, pattern in rows}


def is_more(cost: Cost, bound: Cost | None) -> bool:
    """More than a page may ask at all; or clearly more than what is written down, which is then to be written anew."""
    if cost.calls > MOST.calls or cost.queries > MOST.queries:
        return True
    return bound is not None and (cost.calls > bound.calls + 1 or cost.queries > bound.queries + FEW)


async def costs_of(filled: Filled, watched: Watched) -> dict[str, Cost]:
    """By page, at the second look: what is remembered is asked once."""
    found = {}
    for one in addresses(filled):
        for _ in range(2):
            watched.forget()
            assert (await filled.people["operator"].get(one.path)).status == 200, one
        found[one.pattern] = Cost(watched.calls, watched.asked)
    return found


async def grow(filled: Filled) -> None:
    """Sixty more of everything that pages list."""
    tocsin = filled.tocsin
    events: list[dict[str, Any]] = []

    async def post(path: str, body: dict[str, Any]) -> Any:
        return (await tocsin.client.post(path, body)).ok(201)

    for number in range(MANY):
        hook, pipeline = tocsin.receiver.hook(f"/many/{number}"), f"many/{number}"
        if number % 2:
            hook.always(500)
        webhook = await tocsin.webhook(hook, name=f"Many {number}")
        about = {"pipelines": [pipeline], "webhook_endpoint_ids": [webhook["id"]]}
        await post("/v1/alert-rules", {"name": f"Many {number}", "event_types": ["run.failed"]} | about)
        matchers = [{"field": "pipeline", "value": f"{pipeline}/x"}]
        await post("/v1/silences", {"matchers": matchers, "duration_s": 3600, "reason": "x"})
        await post("/v1/members", {"user_id": f"many-{number}@example.com", "role": "viewer"})
        await post("/v1/tokens", {"name": f"many {number}", "role": "viewer"})
        await post("/v1/secrets", {"name": f"MANY_{number}", "value": "s3cr3t"})
        events += [{"type": type_, "pipeline": pipeline, "run_id": "1"} for type_ in ("run.started", "run.failed")]
    for start in range(0, len(events), 50):
        (await tocsin.client.post("/v1/events", {"events": events[start : start + 50]})).ok(202)
    await tocsin.settle()


async def test_each_page_asks_as_little_as_is_written_down_and_no_more_where_there_is_more(
    filled: Filled, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    # S3-09
    watched = Watched(filled, monkeypatch)
    costs = await costs_of(filled, watched)
    if request.config.getoption("--update-golden"):
        lines = (f"{cost.calls:2} {cost.queries:3}  {pattern}\n" for pattern, cost in costs.items())
        GOLDEN.write_text(HEAD + "".join(lines))
    bounds = written_down()
    much = [f"{bounds.get(one, MOST)} → {cost} {one}" for one, cost in costs.items() if is_more(cost, bounds.get(one))]
    assert not much, "\n".join(much)
    await grow(filled)
    later = await costs_of(filled, watched)
    more = [f"{costs[one]} → {cost} {one}" for one, cost in later.items() if cost.queries > costs[one].queries + FEW]
    assert not more, "\n".join(more)
