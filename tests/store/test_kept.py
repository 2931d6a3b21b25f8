"""A store that an earlier version wrote, with everything that people had set up, under this version."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from tests.harness import Clock, Running, Start
from tests.store.conftest import opened
from tocsin.store import migrate as migrating
from tocsin.store.database import Database
from tocsin.store.migrate import migrate, migrations

pytestmark = pytest.mark.anyio

KEPT = sorted(Path(__file__).with_name("kept").glob("*.json"))
LEDGER = ("migration", "migration_compatible")


@pytest.fixture(params=KEPT, ids=lambda file: str(file.stem))
def kept(request: pytest.FixtureRequest) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(request.param.read_text("utf-8"))
    return found


@pytest.fixture
async def old_store(kept: dict[str, Any], fresh: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Settings of a store with the schema and the rows of then; nothing of now has run on it."""
    db = await opened(fresh)
    then = {row[0]: row[2] for row in kept["tables"]["migration"]["rows"]}
    known = [one for one in migrations(db.dialect) if one.number in then]
    if db.dialect == "sqlite":  # in which the rows were written
        assert {one.number: one.checksum for one in known} == then, "a migration was edited since"
    with monkeypatch.context() as patch:
        patch.setattr(migrating, "migrations", lambda dialect: known)
        await migrate(db)
    tables = {name: table for name, table in kept["tables"].items() if name not in LEDGER}
    for name in sorted(tables, key=lambda name: (name != "tenant", name)):  # others refer to that one
        await put(db, name, **tables[name])
    await db.close()
    return fresh | {"TOCSIN_SECRET_KEY": kept["key"]}


async def put(db: Database, table: str, columns: list[str], rows: list[list[Any]]) -> None:
    """In place of what migrations put there."""

    def literal(value: Any) -> str:
        if value is None or isinstance(value, int):
            return "NULL" if value is None else str(value)
        if isinstance(value, dict):
            hex_ = base64.b64decode(value["base64"]).hex()
            return f"X'{hex_}'" if db.dialect == "sqlite" else f"'\\x{hex_}'"
        return "'" + str(value).replace("'", "''") + "'"

    names = ", ".join(f'"{column}"' for column in columns)
    values = ",\n".join(f"({', '.join(map(literal, row))})" for row in rows)
    await db.script(f'DELETE FROM "{table}" WHERE 1 = 1; INSERT INTO "{table}" ({names}) VALUES {values}')


async def test_a_kept_store_works_on(
    kept: dict[str, Any], old_store: dict[str, str], clock: Clock, start: Start
) -> None:  # S1-19
    ids = kept["ids"]
    events = kept["tables"]["event"]
    clock.now_ms = max(row[events["columns"].index("received_ms")] for row in events["rows"]) + 1000
    tocsin = await start(**old_store)
    tocsin.client.token = kept["token"]

    assert await migrating.pending(tocsin.app.db) == []
    assert await everything(tocsin, "/v1/webhooks") == {ids[name] for name in ("orders", "away", "quiet")}
    assert await everything(tocsin, "/v1/webhooks?deleted=true") == {ids["slack"]}
    assert await everything(tocsin, "/v1/alert-rules") == {ids[f"rule {name}"] for name in ("orders", "away", "quiet")}
    assert await everything(tocsin, "/v1/silences") == {ids["silence"]}
    members = (await tocsin.client.get("/v1/members")).ok()["items"]
    assert [(one["user_id"], one["role"]) for one in members] == [("mia", "developer")]
    assert [one["name"] for one in (await tocsin.client.get("/v1/secrets")).ok()["items"]] == ["API_KEY"]
    (run,) = (await tocsin.client.get("/v1/runs")).ok()["items"]
    assert (run["pipeline"], run["status"]) == ("etl/orders", "failed")
    why = (await tocsin.client.get("/v1/events/run.failed/why")).ok()
    assert {one["webhook"]: one["status"] for one in why["deliveries"]} == {
        "orders": "delivered", "away": "retrying", "quiet": "suppressed",
    }  # fmt: skip
    assert (await tocsin.client.get("/v1/audit/verify")).ok()["ok"]
    assert (await tocsin.client.get("/v1/stats/reconcile")).ok()["differences"] == []

    # What waited then goes out now, and what comes goes where it was to go; with what was sealed then.
    away, orders = tocsin.receiver.hook("/away"), tocsin.receiver.hook("/orders")
    for name, hook in (("away", away), ("orders", orders)):
        (await tocsin.client.patch(f"/v1/webhooks/{ids[name]}", {"webhook_url": hook.url})).ok()
    await tocsin.move(60)
    (waited,) = away.expect(1)
    assert waited.json["id"] == "run.failed"
    await tocsin.send(pipeline="etl/orders", run_id="r2", data={"rows": 11})
    await tocsin.settle()
    (message,) = orders.expect(1)
    assert message.headers["x-key"] == "a header's secret"
    away.expect(1)
    assert (await tocsin.deliveries(webhook_id=ids["quiet"]))[0]["status"] == "suppressed"
    assert (await tocsin.client.get("/v1/stats/reconcile")).ok()["differences"] == []


async def everything(tocsin: Running, path: str) -> set[str]:
    return {one["id"] for one in (await tocsin.client.get(path)).ok()["items"]}
