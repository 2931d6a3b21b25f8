"""Another key: everything sealed is sealed anew, in whatever moment somebody stops or changes something."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.harness import Running, Start
from tests.store.rows import add_endpoint, endpoint
from tests.web.test_audit import entries
from tocsin.model.audit import ITSELF
from tocsin.model.secret import SecretRecord
from tocsin.store import answers, config, keys, secrets
from tocsin.store.audit import Trail
from tocsin.store.database import Database, StoreUnavailable, Transaction
from tocsin.store.sealing import Keyring, WrongKey

pytestmark = pytest.mark.anyio

OLD, NEW = b"1" * 32, b"2" * 32
COLUMNS = {
    "sqlite": "SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table'",
    "postgres": "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'",
}


class Ring(Keyring):
    """With nonces that never come back."""

    made = 0

    def __init__(self, *with_keys: bytes) -> None:
        super().__init__(with_keys, self.next)

    def next(self) -> bytes:
        Ring.made += 1
        return Ring.made.to_bytes(12, "big")


async def rotate(db: Database, keyring: Keyring) -> keys.Rotated:
    return await keys.rotate(db, keyring, Trail(keyring, lambda: 0), ITSELF)


async def fill(db: Database, keyring: Keyring, count: int) -> None:
    """Endpoints, and a secret and an answer for each."""
    for number in range(count):
        await add_endpoint(db, keyring, endpoint(f"whk_{number:04}"), f"https://example.com/{number}")
    async with db.transaction() as tx:
        for number in range(count):
            one = SecretRecord(name=f"S{number:04}", id=f"sec_{number:04}", created_ms=0)
            assert await secrets.add(tx, keyring, "default", one, f"value {number}")
            asked = answers.asked("default", "tok", f"key {number}", "POST", "/", b"")
            assert await answers.keep(tx, keyring, asked, 201, f"body {number}".encode(), 1)
    await config.make_key_check(db, keyring)


async def check(db: Database, keyring: Keyring, count: int) -> None:
    vault = secrets.Vault(db, keyring, {})
    for number in range(count):
        opened = await config.open_endpoint(db, keyring, "default", f"whk_{number:04}")
        assert opened.address == f"https://example.com/{number}"
        assert await vault.values("default", [f"S{number:04}"]) == {f"S{number:04}": f"value {number}"}
        asked = answers.asked("default", "tok", f"key {number}", "POST", "/", b"")
        found = await answers.find(db, keyring, asked, 1)
        assert found is not None
        assert found.body == f"body {number}".encode()


async def test_everything_that_is_sealed_is_known(db: Database) -> None:
    # S4-12: a new column has to be listed, or rotation would lose it
    if db.dialect == "sqlite":
        found = set(db.writer.execute(COLUMNS["sqlite"]))  # type: ignore[attr-defined]
    else:
        async with db.pool.acquire() as connection:  # type: ignore[attr-defined]
            found = {tuple(row) for row in await connection.fetch(COLUMNS["postgres"])}
    sealed = {(table, column) for table, column in found if column.endswith("_sealed")}
    assert sealed == {(one.table, f"{column}_sealed") for one in keys.SEALED for column in one.columns}


async def test_everything_is_sealed_anew(db: Database) -> None:
    # S4-12
    await fill(db, Ring(OLD), 230)
    both = Ring(NEW, OLD)
    before = await keys.uses(db, both)
    assert {use.state for use in before} == {"active", "known"}
    assert keys.waits(before) == 230 * 5 + 1
    assert await rotate(db, both) == keys.Rotated(230 * 3, 0)
    assert await rotate(db, both) == keys.Rotated(0, 0)
    after = await keys.uses(db, Ring(NEW))
    assert {use.state for use in after} == {"active"}
    assert keys.waits(after) == 0
    await check(db, Ring(NEW), 230)
    await config.make_key_check(db, Ring(NEW))
    with pytest.raises(WrongKey):
        await config.make_key_check(db, Ring(OLD))


class Stopping:
    """A database whose process is killed before the nth commit."""

    def __init__(self, db: Database, after: int) -> None:
        self.db = db
        self.left = after
        self.read = db.read

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        async with self.db.transaction() as tx:
            yield tx
            self.left -= 1
            if self.left < 0:
                raise StoreUnavailable("killed")


@pytest.mark.parametrize(("after", "done"), [(0, 0), (1, 100), (2, 120), (3, 220), (4, 240)])
async def test_whoever_stops_goes_on_later(db: Database, after: int, done: int) -> None:
    # S4-12: the old key is asked for until all is done
    await fill(db, Ring(OLD), 120)
    both = Ring(NEW, OLD)
    stopping: Any = Stopping(db, after)
    with pytest.raises(StoreUnavailable):
        await rotate(stopping, both)
    await check(db, both, 120)
    with pytest.raises(WrongKey):
        await config.make_key_check(db, Ring(NEW))
    assert (await rotate(db, both)).rows == 360 - done
    await check(db, Ring(NEW), 120)
    await config.make_key_check(db, Ring(NEW))


async def test_what_changes_meanwhile_is_not_undone(db: Database) -> None:
    await fill(db, Ring(OLD), 3)
    both = Ring(NEW, OLD)

    class Meanwhile(Stopping):
        """Somebody with the old key in front saves, between what was read and what is written."""

        @asynccontextmanager
        async def transaction(self) -> AsyncIterator[Transaction]:
            if self.left:
                self.left -= 1
                one = endpoint("whk_0001")
                async with self.db.transaction() as tx:
                    await config.change_address(tx, Ring(OLD, NEW), one, "https://example.com/changed", "", 0)
            async with self.db.transaction() as tx:
                yield tx

    meanwhile: Any = Meanwhile(db, 1)
    assert not (await rotate(meanwhile, both)).left
    opened = await config.open_endpoint(db, Ring(NEW), "default", "whk_0001")
    assert opened.address == "https://example.com/changed"
    assert keys.waits(await keys.uses(db, Ring(NEW))) == 0


async def test_what_opens_with_no_key_is_left_and_named(db: Database) -> None:
    # S22: nothing is lost, and the old key is not let go
    await fill(db, Ring(OLD), 3)
    await add_endpoint(db, Ring(b"3" * 32), endpoint("whk_9"))
    both = Ring(NEW, OLD)
    done = await rotate(db, both)
    assert done.rows == 9
    assert done.left == ("endpoint whk_9 of the tenant default",)
    await check(db, both, 3)
    await config.make_key_check(db, Ring(OLD))
    assert "unknown" in {use.state for use in await keys.uses(db, both)}
    assert (await config.open_endpoint(db, Ring(b"3" * 32), "default", "whk_9")).address


def as_text(*with_keys: bytes) -> str:
    return ",".join(base64.b64encode(key).decode() for key in with_keys)


async def rotated(tocsin: Running) -> keys.Rotated:
    app = tocsin.app
    return await keys.rotate(app.db, app.keyring, app.trail, ITSELF)


async def test_servers_go_on_while_the_key_changes(start: Start) -> None:
    # S4-12: the whole way, from one key to the other, and the trail holds
    only_old = await start(TOCSIN_SECRET_KEY=as_text(OLD))
    hook = only_old.receiver.hook("/sealed")
    await only_old.webhook(hook, enabled_events=["*"])
    await only_old.worker.stop()
    running = await start(TOCSIN_SECRET_KEY=as_text(OLD, NEW))
    await running.send()
    await running.settle()
    await running.worker.stop()
    both = await start(TOCSIN_SECRET_KEY=as_text(NEW, OLD))
    assert (await rotated(both)).rows == 1
    assert await rotated(both) == keys.Rotated(0, 0)
    await both.send()
    await both.settle()
    await running.rule()  # one that has not been restarted still serves, and signs with the old key
    await rotated(both)
    await both.worker.stop()
    only_new = await start(TOCSIN_SECRET_KEY=as_text(NEW))
    await only_new.send()
    await only_new.settle()
    hook.expect(3)
    await only_new.rule()
    assert (await only_new.client.get("/v1/audit/verify")).ok()["ok"]
    assert {"keys.rotate"} <= {entry["action"] for entry in await entries(only_new)}


async def test_a_server_without_the_new_key_loses_nothing(start: Start) -> None:
    # S4-12 S22: messages wait, endpoints stay on, and the API says that it is not now
    only_old = await start(TOCSIN_SECRET_KEY=as_text(OLD))
    hook = only_old.receiver.hook("/sealed")
    webhook = await only_old.webhook(hook, enabled_events=["*"])
    app = only_old.app
    both = Keyring((NEW, OLD), lambda: b"n" * 12)
    assert (await keys.reseal_table(app.db, both, keys.SEALED[0])) == (1, [])
    await only_old.send()
    await only_old.settle()
    (delivery,) = await only_old.deliveries()
    assert delivery["status"] in ("pending", "retrying")
    assert delivery["attempts"] == 0
    assert (await only_old.endpoint(webhook))["is_active"]
    answer = await only_old.client.patch(f"/v1/webhooks/{webhook['id']}", {"settings": {}})
    assert "retry-after" in answer.headers
    answer.problem(503)
    await only_old.worker.stop()
    knows = await start(TOCSIN_SECRET_KEY=as_text(NEW, OLD))
    await knows.move(31)
    hook.expect(1)
