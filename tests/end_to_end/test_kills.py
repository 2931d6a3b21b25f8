"""`kill -9` at any moment, under load: what was acknowledged is delivered, and nothing is invented."""

import os
import random
import time
from pathlib import Path

import pytest

from tests.end_to_end.ledger import Load
from tests.end_to_end.process import Server, Site, short_lease, steady_port
from tests.end_to_end.receiver import Receiver
from tests.end_to_end.verdict import Kill, Verdict, compare, wait_until_quiet
from tests.postgres import PostgresServer, start_postgres

pytestmark = pytest.mark.alone

SEED = int(os.environ.get("TOCSIN_TEST_SEED", "0")) or random.SystemRandom().randrange(1, 1_000_000)
PER_S = 120
LONG = 200


def add_endpoints(server: Server, receiver: Receiver) -> dict[str, dict[str, str]]:
    """Four endpoints, of which one gets everything. Returns who wants which type."""
    paths = {
        "/ok/one": ["load.one"],
        "/ok/two": ["load.two"],
        "/flaky/x": ["load.flaky"],
        "/ok/all": ["load.*"],
    }
    wants: dict[str, dict[str, str]] = {"load.one": {}, "load.two": {}, "load.flaky": {}}
    for path, types in paths.items():
        endpoint_id = server.add_webhook(receiver.url(path), types, path)
        for type_ in wants:
            if type_ in types or "load.*" in types:
                wants[type_][endpoint_id] = path
    return wants


def kill_again_and_again(
    site: Site, receiver: Receiver, servers: list[Server], postgres: PostgresServer | None, kills: int
) -> Verdict:
    """Kills one of them, or all, or the database, at moments that only the seed knows; brings them back at once."""
    dice = random.Random(SEED)
    apis = [server for server in servers if server.only != "worker"]
    for server in servers:
        server.start()
    wants = add_endpoints(apis[0], receiver)
    victims: list[tuple[str, list[Server], bool]] = [(server.only or "serve", [server], False) for server in servers]
    if postgres is not None:
        victims += [("both", servers, False), ("postgres", [], True), ("everything", servers, True)]
    killed: list[Kill] = []
    with Load([api.url for api in apis], site.token, per_s=PER_S, seed=SEED) as load:
        for number in range(kills):
            time.sleep(dice.uniform(0.05, 0.9))
            what, processes, database = (
                victims[number % len(victims)] if number < len(victims) else dice.choice(victims)
            )
            kill = Kill(what, time.monotonic_ns(), sends=any(server.only != "api" for server in processes))
            killed.append(kill)
            for server in processes:
                server.kill()
            if postgres is not None and database:
                postgres.kill()
                postgres.restart()
            kill.to_ns = time.monotonic_ns()
            for server in processes:
                server.launch()
            for server in processes:
                server.wait_until_ready()
        ledger = load.stop()
    wait_until_quiet(site)
    return compare(site, ledger, receiver, wants, killed)


def judge(verdict: Verdict, kills: int) -> None:
    assert not verdict.wrong, f"seed {SEED}: {verdict}\n" + "\n".join(verdict.wrong[:20])
    assert verdict.kills == kills
    assert verdict.acked > kills * 20, f"too little load to mean anything: {verdict}"
    assert (verdict.events_lost, verdict.deliveries_lost) == (0, 0)


def on_sqlite(folder: Path, kills: int) -> Verdict:
    with Receiver(folder / "receiver") as receiver, Site(folder / "site") as site:
        return kill_again_and_again(site, receiver, [site.server()], None, kills)


def on_postgres(folder: Path, kills: int) -> Verdict:
    """The API and the worker are processes of their own."""
    postgres = start_postgres(folder, durable=True, port=steady_port())
    try:
        with (
            Receiver(folder / "receiver") as receiver,
            Site(folder / "site", postgres=postgres, database="kills", changes=short_lease()) as site,
        ):
            return kill_again_and_again(site, receiver, [site.server("api"), site.server("worker")], postgres, kills)
    finally:
        postgres.remove()


def test_kills_on_sqlite(tmp_path: Path) -> None:
    verdict = on_sqlite(tmp_path, 4)
    print(f"\nSQLite: {verdict}")
    judge(verdict, 4)


def test_kills_on_postgres(tmp_path: Path) -> None:
    """Each that can be killed, once: the API, the worker, both, the database, everything."""
    verdict = on_postgres(tmp_path, 5)
    print(f"\nPostgreSQL: {verdict}")
    judge(verdict, 5)


@pytest.mark.proof
def test_many_kills_on_sqlite(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    verdict = on_sqlite(tmp_path, LONG)
    with capsys.disabled():
        print(f"\nSQLite, seed {SEED}: {verdict}")
    judge(verdict, LONG)


@pytest.mark.proof
def test_many_kills_on_postgres(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    verdict = on_postgres(tmp_path, LONG)
    with capsys.disabled():
        print(f"\nPostgreSQL, seed {SEED}: {verdict}")
    judge(verdict, LONG)
