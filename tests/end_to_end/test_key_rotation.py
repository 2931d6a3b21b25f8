"""`tocsin keys rotate`, killed in the middle beside a server that works."""

import asyncio
import base64
import subprocess
from pathlib import Path

import pytest

from tests.end_to_end.process import Server, Site, steady_port, wait_for
from tests.end_to_end.receiver import Receiver
from tests.postgres import start_postgres
from tocsin.app import open_store
from tocsin.model.secret import SecretRecord
from tocsin.settings import read_settings
from tocsin.store import secrets
from tocsin.store.sealing import key_id

OLD, NEW = b"1" * 32, b"2" * 32
COUNT = 2000
"""So many that sealing them anew takes a while."""


def as_text(*keys: bytes) -> str:
    return ",".join(base64.b64encode(key).decode() for key in keys)


async def fill(environment: dict[str, str]) -> None:
    db, keyring = await open_store(read_settings(environment), 0)
    async with db.transaction() as tx:
        for number in range(COUNT):
            one = SecretRecord(name=f"S{number:05}", id=f"sec_{number:05}", created_ms=0)
            await secrets.add(tx, keyring, "default", one, f"value {number}")
    await db.close()


def sealed_anew(site: Site) -> int:
    text = "hex(value_sealed)" if site.postgres is None else "upper(encode(value_sealed, 'hex'))"
    wanted = f"01{key_id(NEW).hex().upper()}%"
    sql = f"SELECT count(*) FROM secret WHERE {text} LIKE '{wanted}'"
    return int(site.rows(sql)[0][0])


def send(server: Server) -> None:
    status, _, answer = server.call("POST", "/v1/events", {"type": "load.one"})
    assert status == 202, answer


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_rotation_is_killed_and_goes_on(kind: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    # S4-12: with a server that knows both keys, and sends all the while
    postgres = start_postgres(tmp_path / "pg", durable=True, port=steady_port()) if kind == "postgres" else None
    settings = {"TOCSIN_SECRET_KEY": as_text(OLD)}
    try:
        with (
            Receiver(tmp_path / "receiver") as receiver,
            Site(tmp_path / "site", postgres=postgres, database="keys", settings=settings) as site,
        ):
            asyncio.run(fill(site.environment))
            site.environment["TOCSIN_SECRET_KEY"] = as_text(NEW, OLD)
            server = site.server().start()
            server.add_webhook(receiver.url("/hook"), ["load.one"])
            send(server)
            rotating = subprocess.Popen([*site.command, "keys", "rotate"], env=site.environment, cwd=site.folder)
            wait_for("it has begun", lambda: sealed_anew(site) > 0, 20.0, 0.005)
            rotating.kill()
            assert rotating.wait() == -9
            assert 0 < sealed_anew(site) < COUNT
            send(server)
            assert site.run("keys", "status", expect=1).stderr.startswith("tocsin: ")
            site.run("keys", "rotate")
            assert sealed_anew(site) == COUNT
            assert server.stop() == 0
            site.environment["TOCSIN_SECRET_KEY"] = as_text(NEW)
            site.run("keys", "status")
            server.start()
            send(server)
            wait_for("all three are there", lambda: len(receiver.arrivals()) == 3, 10.0, 0.02)
            for number in (0, 99, 100, COUNT - 1):
                status, _, answer = server.call("POST", f"/v1/secrets/S{number:05}/reveal")
                assert (status, answer["value"]) == (200, f"value {number}")
            assert server.call("GET", "/v1/audit/verify")[2]["ok"]
    finally:
        if postgres is not None:
            postgres.remove()
