"""A tenant moves to another database: its rows are copied as they are, and everything of it works there."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import apsw
import asyncpg
import pytest

from tests.harness import Client, Start
from tests.postgres import PostgresServer

pytestmark = pytest.mark.anyio

KEY = "c2hhcmRzIHNoYXJlIG9uZSBrZXksIHNvIGJlIGl0LiE="
MOVED = "acme"
TENANTS_OWN = """
SELECT c.table_name FROM information_schema.columns c JOIN pg_class p ON p.relname = c.table_name
WHERE c.table_schema = 'public' AND c.column_name = 'tenant_id' AND p.relkind IN ('r', 'p') AND NOT p.relispartition
ORDER BY 1
"""


@pytest.fixture
async def elsewhere(
    store: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[dict[str, str]]:
    """Settings of another store of the same kind."""
    found = {"TOCSIN_DATA_DIR": str(tmp_path / "elsewhere"), "TOCSIN_DATABASE_URL": ""}
    if not store["TOCSIN_DATABASE_URL"]:
        yield found
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    server.drop_database("shard")
    yield found | {"TOCSIN_DATABASE_URL": server.create_database("shard")}
    server.drop_database("shard")


async def copy_sqlite(given: dict[str, str], taken: dict[str, str]) -> dict[str, int]:
    source, target = (apsw.Connection(str(Path(one["TOCSIN_DATA_DIR"]) / "tocsin.db")) for one in (given, taken))
    names = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
    columns = {
        name: [row[1] for row in source.execute(f'PRAGMA table_info("{name}")')]
        for (name,) in source.execute(names).fetchall()
    }
    copied: dict[str, int] = {}
    target.set_busy_timeout(5000)
    with target:
        for table, key in [
            ("tenant", "id"),
            *((name, "tenant_id") for name in columns if "tenant_id" in columns[name]),
        ]:
            rows = source.execute(f'SELECT * FROM "{table}" WHERE "{key}" = ?', (MOVED,)).fetchall()
            target.executemany(f'INSERT INTO "{table}" VALUES ({", ".join("?" * len(columns[table]))})', rows)
            copied[str(table)] = len(rows)
    source.close()
    target.close()
    return copied


async def copy_postgres(given: dict[str, str], taken: dict[str, str]) -> dict[str, int]:
    source, target = [await asyncpg.connect(one["TOCSIN_DATABASE_URL"]) for one in (given, taken)]
    copied: dict[str, int] = {}
    async with target.transaction():
        for table, key in [("tenant", "id"), *((row[0], "tenant_id") for row in await source.fetch(TENANTS_OWN))]:
            rows = await source.fetch(f'SELECT * FROM "{table}" WHERE "{key}" = $1', MOVED)
            if rows:
                await target.copy_records_to_table(
                    table, records=[tuple(row) for row in rows], columns=list(rows[0].keys())
                )
            copied[str(table)] = len(rows)
    await source.close()
    await target.close()
    return copied


async def test_a_tenant_moves_to_another_database(
    store: dict[str, str], elsewhere: dict[str, str], start: Start
) -> None:
    here = await start(TOCSIN_SECRET_KEY=KEY)
    acme = await here.as_("admin", tenant=MOVED)
    well, away, others = (here.receiver.hook(path) for path in ("/well", "/away", "/others"))
    away.answer(503)
    await here.webhook(well, client=acme, name="well", enabled_events=["run.failed"], headers={"x-key": "sealed"})
    await here.webhook(away, client=acme, name="away", enabled_events=["run.failed"])
    await here.webhook(others, name="others", enabled_events=["run.failed"])
    silence = {"matchers": [{"field": "pipeline", "value": "quiet"}], "duration_s": 86_400}
    (await acme.post("/v1/silences", silence)).ok(201)
    await here.send(client=acme, id="one", pipeline="etl", run_id="r1")
    await here.send(id="of others")
    await here.settle()
    for hook in (well, away, others):
        hook.expect(1)
    operator = await here.operator()
    (await operator.post(f"/v1/tenants/{MOVED}/suspend")).ok()

    there = await start(TOCSIN_SECRET_KEY=KEY, **elsewhere)
    copied = await (copy_postgres if store["TOCSIN_DATABASE_URL"] else copy_sqlite)(store, elsewhere)
    assert {name: copied[name] for name in ("tenant", "endpoint", "silence", "event", "delivery", "token")} == {
        "tenant": 1, "endpoint": 2, "silence": 1, "event": 1, "delivery": 2, "token": 1,
    }  # fmt: skip
    acme = there.client.with_token(acme.token)
    (await acme.get("/v1/webhooks")).problem(403)  # suspended there as well, until it is led there
    operator = await there.operator()
    (await operator.post(f"/v1/tenants/{MOVED}/resume")).ok()
    await there.move(60)  # what waited goes out from there, and from nowhere else
    (waited,) = away.expect(1)
    assert waited.json["id"] == "one"

    assert {one["name"] for one in await items(acme, "/v1/webhooks")} == {"well", "away"}
    assert [one["id"] for one in await items(acme, "/v1/events")] == ["one"]
    assert (await there.send(client=acme, id="one", pipeline="etl", run_id="r1"))["duplicate"]
    await there.send(client=acme, id="two", pipeline="quiet")
    await there.send(client=acme, id="three", pipeline="etl")
    await there.settle()
    (message,) = well.expect(1)
    assert (message.json["id"], message.headers["x-key"]) == ("three", "sealed")
    away.expect(1)
    assert (await acme.get("/v1/audit/verify")).ok()["ok"]
    assert (await acme.get("/v1/stats/reconcile")).ok()["differences"] == []
    assert (await there.client.get("/v1/events")).ok()["items"] == []


async def items(client: Client, path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await client.get(path)).ok()["items"]
    return found
