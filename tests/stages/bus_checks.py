"""What the tests of all event buses share."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from tests.harness import PATIENCE_S, Running


async def until(holds: Callable[[], Any], what: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, f"not yet: {what}"
        await asyncio.sleep(0.005)


async def counted(tocsin: Running, **counts: int) -> None:
    """Waits until the only bus has counted so many, and no more."""
    (bus,) = tocsin.app.buses
    end = time.monotonic() + PATIENCE_S
    while any(bus.counts[name] < count for name, count in counts.items()):
        assert time.monotonic() < end, f"not yet {counts}: {bus.counts}, {bus.away}"
        await asyncio.sleep(0.005)
    assert {name: bus.counts[name] for name in counts} == counts


async def events(tocsin: Running) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await tocsin.client.get("/v1/events?limit=100")).ok()["items"]
    return items


async def refused(tocsin: Running) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await tocsin.client.get("/v1/bus/refused")).ok()["items"]
    return items
