"""Every page with a month of a large installation in the store: how long the server takes for it, on both stores.

`--proof -s` prints the table of benchmarks/NOTES.md. Where $TOCSIN_TEST_BIG_STORE names a folder, the stores stay there
and are taken from there the next time: growing one takes minutes."""

import gc
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest
from msgspec import Struct

from tests.dashboard.big_store import KEPT, PIPELINES, big_store
from tests.dashboard.costs import MOST_BYTES, Watched, first_load
from tests.dashboard.filled import Filled
from tests.dashboard.pages_of import Address, addresses
from tests.postgres import PostgresServer, reopen_postgres, start_postgres
from tocsin.store.stats import Tallies

pytestmark = [pytest.mark.anyio, pytest.mark.proof]

LOADS = 20
MOST_MS = 150
MOST_FIRST_MS = 500
NUMBERS = ("/", "/deliveries", "/deliveries?since=30d", "/rules", "/endpoints")
"""Pages that show what was counted."""

LOOKED_FOR = (
    "/deliveries?since=24h",
    "/deliveries?since=30d",
    "/deliveries?status=delivered",
    "/deliveries?status=dead",
    "/deliveries?status=retrying",
    "/deliveries?status=expired",
    "/deliveries?status=pending",
    "/deliveries?code=418",
    "/deliveries?code=5xx",
    "/deliveries?pipeline=ops/ledger",
    "/deliveries?pipeline=no-such",
    "/deliveries?text=no-such-word",
    "/deliveries?q=no-such-word",
    "/events?kind=run.failed",
    "/events?pipeline=ops/ledger",
    "/events?pipeline=no-such",
    "/events?severity=critical",
    "/events?run_id=scheduled__050000",
    "/runs?status=running",
    "/runs?status=paused",
    "/runs?status=failed",
    "/runs?pipeline=ops/ledger",
    "/runs?run_id=scheduled__050000",
    "/search?q=ledger",
)
"""Besides the pages as they are: what somebody looks for, found at once, long ago, or nowhere."""


class Took(Struct):
    pattern: str
    path: str
    first_ms: float
    each_ms: list[float]
    cpu_ms: float
    db_cpu_ms: float
    calls: int
    queries: dict[str, float]

    def at(self, share: float) -> float:
        return sorted(self.each_ms)[min(len(self.each_ms) - 1, int(len(self.each_ms) * share))]

    def __str__(self) -> str:
        slowest = sorted(self.queries.items(), key=lambda one: -one[1])[:2]
        said = ", ".join(f"{name} {ms:.0f}" for name, ms in slowest)
        times = (
            f"{self.first_ms:7.0f} {self.at(0.5):7.1f} {self.at(0.95):7.1f} {self.cpu_ms:7.1f} {self.db_cpu_ms:6.1f}"
        )
        return f"{self.path[:70]:<70} {times} {self.calls:3} {len(self.queries):3}  {said}"


class Grown(NamedTuple):
    filled: Filled
    server: PostgresServer | None

    def cpu_s(self) -> tuple[float, float]:
        """Of this process, SQLite in it; and of PostgreSQL."""
        return time.process_time(), self.server.cpu_s() if self.server else 0.0


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
async def grown(
    request: pytest.FixtureRequest, anyio_backend: object, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Grown]:
    given = os.environ.get("TOCSIN_TEST_BIG_STORE")
    folder = Path(given, request.param) if given else tmp_path_factory.mktemp("big")
    folder.mkdir(parents=True, exist_ok=True)
    store = {"TOCSIN_DATA_DIR": str(folder / "data"), "TOCSIN_DATABASE_URL": ""}
    server = None
    if request.param == "postgres":
        server = reopen_postgres(folder, durable=False) or start_postgres(folder, durable=False)
        if not (folder / KEPT).exists():
            server.drop_database("big")
            server.create_database("big")
        store["TOCSIN_DATABASE_URL"] = server.dsn("big") + "?sslmode=disable"
    async with big_store(store, folder) as found:
        yield Grown(found, server)
    if server is not None:
        if given:
            server.stop()
        else:
            server.remove()


async def look(filled: Filled, path: str) -> float:
    """How long it took, ms."""
    start = time.perf_counter()
    answer = await filled.people["operator"].get(path)
    took_ms = (time.perf_counter() - start) * 1000
    assert answer.status == 200, (path, answer.status)
    return took_ms


async def measure(grown: Grown, watched: Watched, one: Address) -> Took:
    watched.forget()
    first_ms = await look(grown.filled, one.path)
    calls, queries, before = watched.calls, dict(watched.queries), grown.cpu_s()
    each_ms = [await look(grown.filled, one.path) for _ in range(LOADS)]
    own, db = ((after_s - before_s) * 1000 / LOADS for before_s, after_s in zip(before, grown.cpu_s(), strict=True))
    return Took(one.pattern, one.path, first_ms, each_ms, own, db, calls, queries)


async def test_the_first_look_at_numbers_does_not_wait_for_them_to_be_counted(grown: Grown) -> None:
    # S3-09
    app = grown.filled.tocsin.app
    app.tallies = Tallies(app.db, app.clock_ms)
    print(f"\n{app.db.dialect}: {await look(grown.filled, '/'):.0f} ms while nothing is counted")
    app.tallies = Tallies(app.db, app.clock_ms)
    start = time.perf_counter()
    await app.tallies.warm()
    took_s = time.perf_counter() - start
    firsts = {path: await look(grown.filled, path) for path in NUMBERS}
    print(f"counted in the background in {took_s:.1f} s; then {firsts}")
    assert max(firsts.values()) <= MOST_FIRST_MS


async def test_every_page_is_quick_with_a_million_deliveries(grown: Grown, monkeypatch: pytest.MonkeyPatch) -> None:
    # S3-09
    watched = Watched(grown.filled, monkeypatch)
    pages = addresses(grown.filled) + [Address(path, path, "viewer") for path in LOOKED_FOR]
    pages.append(Address("/pipelines", f"/pipelines/{PIPELINES[5]}", "viewer"))
    gc.collect()
    gc.freeze()
    found = [await measure(grown, watched, one) for one in pages]
    gc.unfreeze()
    print(
        f"\n{grown.filled.tocsin.dialect}: first load, p50, p95, CPU, CPU of PostgreSQL in ms; calls, queries; slowest"
    )
    for one in found:
        print(one)
    dear = [str(one) for one in found if one.cpu_ms + one.db_cpu_ms > MOST_MS]
    assert not dear, "whatever else the machine does:\n" + "\n".join(dear)
    slow = [str(one) for one in found if one.at(0.95) > MOST_MS]
    assert not slow, "\n".join(slow)


async def test_the_first_load_of_a_page_is_small_there_too(grown: Grown) -> None:
    # S3-09
    sizes = {one.path: await first_load(grown.filled.people["operator"], one.path) for one in addresses(grown.filled)}
    sizes |= {path: await first_load(grown.filled.people["operator"], path) for path in LOOKED_FOR}
    assert not {path: size for path, size in sizes.items() if size > MOST_BYTES}
