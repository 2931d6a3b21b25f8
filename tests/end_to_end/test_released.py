"""From a version that was to this one and back, under load: the version before runs from its own source.

It is taken from this repository's history, which therefore has to be there: in a clone that is shallow,
`git fetch --unshallow` brings it. It runs with this version's libraries.
"""

import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.end_to_end.ledger import Ledger, Load
from tests.end_to_end.process import ROOT, Server, Site, wait_for
from tests.end_to_end.receiver import Receiver, counted
from tests.end_to_end.test_kills import add_endpoints
from tests.end_to_end.verdict import compare, wait_until_quiet
from tests.postgres import PostgresServer

pytestmark = pytest.mark.proof

MIGRATIONS = "src/tocsin/store/migrations"
COMPATIBLE_SINCE = 21
"""All migrations from here on let the version before run on."""
NOT_SINCE = 16
"""This one and others since do not."""
NOBODY_THERE = {"ClientConnectorError", "ServerDisconnectedError", "ClientOSError"}
"""What a sender sees while no process has the port: SQLite is for one."""

PER_S = 80
ENOUGH = 60


def source_before(migration: int, folder: Path) -> Path:
    """The source of the last version without this migration, unpacked in `folder`."""

    def git(*words: str) -> bytes:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True)
        assert done.returncode == 0, f"git {words}: {done.stderr.decode()}"
        return done.stdout

    added = git("log", "--diff-filter=A", "--format=%H", "--", f"{MIGRATIONS}/{migration:04d}_*").decode().split()
    assert added, f"When migration {migration} came is not in this history: is the clone shallow?"
    before = f"{added[-1]}~1"
    with tarfile.open(fileobj=io.BytesIO(git("archive", before, "src"))) as archive:
        archive.extractall(folder, filter="data")
    assert not list((folder / MIGRATIONS).glob(f"{migration:04d}_*"))
    return folder / "src"


class Before(Site):
    """An installation that the version before migration `before` made."""

    def __init__(self, folder: Path, before: int, postgres: PostgresServer | None = None, database: str = "") -> None:
        super().__init__(folder, postgres=postgres, database=database, with_token=False)
        self.environment["PYTHONPATH"] = str(source_before(before, folder / "source"))
        self.command = [sys.executable, "-P", "-m", "tocsin.cli.main"]
        self.token = self.run("token", "create", "--role", "admin").stdout.strip()


def this_version(old: Site, folder: Path) -> Site:
    """The same installation, run by this version."""
    known = {name: value for name, value in old.environment.items() if name == "TOCSIN_DATABASE_URL"}
    new = Site(folder, data_dir=old.data_dir, settings=known, with_token=False)
    new.postgres, new.database, new.token = old.postgres, old.database, old.token
    return new


def it_goes_on(load: Load, receiver: Receiver) -> None:
    """More is taken in, and more of it arrives."""
    acked, seen = len(load.ledger.acked), len(receiver.arrivals())
    wait_for(
        "events are taken in and sent",
        lambda: len(load.ledger.acked) > acked + ENOUGH and len(receiver.arrivals()) > seen + ENOUGH,
        30.0,
    )


def set_up_by(server: Server, receiver: Receiver) -> None:
    """What people do with the new version, for the old one to live with."""
    webhook = server.add_webhook(receiver.url("/ok/new"), ["nobody.sends.this"], "made by the new version")
    rule = {"name": "new", "event_types": ["made.since"], "webhook_endpoint_ids": [webhook]}
    for path, body in (
        ("/v1/alert-rules", rule),
        (
            "/v1/silences",
            {"comment": "since", "matchers": [{"field": "pipeline", "value": "other"}], "duration_s": 3600},
        ),
        ("/v1/sources", {"kind": "github", "name": "since"}),
    ):
        status, _, answer = server.call("POST", path, body)
        assert status == 201, (path, answer)


def lives_with_it(server: Server, receiver: Receiver) -> None:
    for path in (
        "/v1/webhooks",
        "/v1/alert-rules",
        "/v1/silences",
        "/v1/sources",
        "/v1/events",
        "/v1/runs",
        "/v1/audit",
    ):
        assert server.call("GET", path)[0] == 200, path
    assert server.call("POST", "/v1/events", {"id": "since", "type": "made.since"})[0] == 202
    wait_for("the rule tells", lambda: [one for one in receiver.arrivals() if one.path == "/ok/new"], 20.0)


def judge(site: Site, ledger: Ledger, receiver: Receiver, wants: dict[str, dict[str, str]], may: set[str]) -> None:
    wait_until_quiet(site)
    verdict = compare(site, ledger, receiver, wants, [])
    print(verdict)
    assert not verdict.wrong, f"{verdict}\n" + "\n".join(verdict.wrong[:20])
    assert (verdict.events_lost, verdict.deliveries_lost, verdict.duplicates) == (0, 0, 0)
    assert set(ledger.answers) <= {"202", "503"} | may, ledger.answers


def test_on_sqlite_there_and_back(tmp_path: Path, receiver: Receiver) -> None:
    """One process after the other, at the same address."""
    with Before(tmp_path / "before", COMPATIBLE_SINCE) as old, this_version(old, tmp_path / "now") as new:
        first, second = old.server(), new.server()
        second.port = first.port
        wants = add_endpoints(first.start(), receiver)
        assert "stop the version before first" not in new.run("migrate", "--plan").stdout
        with Load([first.url], old.token, per_s=PER_S, seed=1) as load:
            it_goes_on(load, receiver)
            assert first.stop() == 0, first.log()[-2000:]
            second.start()
            set_up_by(second, receiver)
            it_goes_on(load, receiver)
            assert second.stop() == 0, second.log()[-2000:]
            first.start()  # the store is newer than this program, and compatible
            lives_with_it(first, receiver)
            it_goes_on(load, receiver)
            ledger = load.stop()
        judge(old, ledger, receiver, wants, NOBODY_THERE)
        for server in (first, second):
            assert "Traceback" not in server.log(), server.log()[-3000:]


def test_on_postgres_there_and_back_with_both_at_work(
    tmp_path: Path, receiver: Receiver, durable_postgres: PostgresServer
) -> None:
    """One process after the other takes the place of an old one; nobody who sends sees any of it."""
    with (
        Before(tmp_path / "before", COMPATIBLE_SINCE, durable_postgres, "rolled") as old,
        this_version(old, tmp_path / "now") as new,
    ):
        old_api, old_worker = old.server("api").start(), old.server("worker").start()
        new_api, new_worker = new.server("api"), new.server("worker")
        wants = add_endpoints(old_api, receiver)
        with Load([old_api.url], old.token, per_s=PER_S, seed=2) as load:
            it_goes_on(load, receiver)
            new_api.start()  # migrates, while the old ones work
            it_goes_on(load, receiver)
            with Load([new_api.url, old_api.url], old.token, per_s=PER_S / 2, seed=3, prefix="f") as both:
                set_up_by(new_api, receiver)
                lives_with_it(old_api, receiver)
                new_worker.start()
                it_goes_on(both, receiver)
                assert old_worker.stop() == 0, old_worker.log()[-2000:]
                it_goes_on(both, receiver)
                old_worker.start()  # and back
                assert new_worker.stop() == 0, new_worker.log()[-2000:]
                it_goes_on(both, receiver)
                ledgers = [load.stop(), both.stop()]
            assert new_api.stop() == 0, new_api.log()[-2000:]
        sent = Ledger()
        for ledger in ledgers:
            sent.acked |= ledger.acked
            sent.unknown |= ledger.unknown
            sent.broken_promises += ledger.broken_promises
            for answer in ledger.answers:
                sent.count(answer)
        judge(old, sent, receiver, wants, set())
        for server in (old_api, old_worker, new_api, new_worker):
            assert "Traceback" not in server.log(), server.log()[-3000:]


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_where_there_is_no_way_back_but_the_backup(
    store: str, tmp_path: Path, receiver: Receiver, request: pytest.FixtureRequest
) -> None:
    """Migrations that the version before cannot live with: stop, back up, start; and back with the back-up alone. What
    came in since is sent again by whoever sent it, under the same ids."""
    durable_postgres: PostgresServer | None = (
        request.getfixturevalue("durable_postgres") if store == "postgres" else None
    )
    with (
        Before(tmp_path / "before", NOT_SINCE, durable_postgres, "back") as old,
        this_version(old, tmp_path / "now") as new,
    ):
        first, second = old.server(), new.server()
        second.port = first.port
        wants = add_endpoints(first.start(), receiver)
        with Load([first.url], old.token, per_s=PER_S, seed=4) as load:
            it_goes_on(load, receiver)
            plan = new.run("migrate", "--plan").stdout
            assert "stop the version before first" in plan
            assert first.stop() == 0, first.log()[-2000:]
            kept_until = set(load.ledger.acked)
            file = tmp_path / "kept"
            keep(old, file)
            second.start()
            it_goes_on(load, receiver)
            assert second.stop() == 0, second.log()[-2000:]
            refused = old.run("serve", "--port", "0", expect=1)
            assert "which this Tocsin does not know" in refused.stderr
            assert "Traceback" not in refused.stderr
            bring_back(old, file)
            first.start()
            it_goes_on(load, receiver)
            ledger = load.stop()
        assert set(ledger.answers) <= {"202", "503"} | NOBODY_THERE, ledger.answers
        stored = {row[0] for row in old.rows("SELECT id FROM event")}
        assert kept_until <= stored
        gone = ledger.acked.keys() - stored
        assert len(gone) > ENOUGH, "nothing came between the two: the test shows nothing"
        for id_ in gone:
            status, _, answer = first.call(
                "POST", "/v1/events", {"id": id_, "type": ledger.acked[id_], "source": "load"}
            )
            assert (status, answer["duplicate"]) == (202, False)
        wait_until_quiet(old)
        assert ledger.acked.keys() <= {row[0] for row in old.rows("SELECT id FROM event")}
        assert {row[0] for row in old.rows("SELECT DISTINCT status FROM delivery")} == {"delivered"}
        arrived = {(arrival.event, arrival.path) for arrival in receiver.arrivals() if arrival.status == 200}
        assert arrived >= {(id_, path) for id_, type_ in ledger.acked.items() for path in wants[type_].values()}
        for again in counted(receiver.arrivals()).values():
            assert len({arrival.body for arrival in again}) == 1


def keep(site: Site, file: Path) -> None:
    if site.postgres is None:
        site.run("backup", str(file))
    else:
        tool(site.postgres, "pg_dump", "--format=custom", f"--file={file}", site.postgres.dsn(site.database))


def bring_back(site: Site, file: Path) -> None:
    if site.postgres is None:
        site.run("restore", "--force", str(file))
    else:
        site.postgres.drop_database(site.database)
        dsn = site.postgres.create_database(site.database)
        tool(site.postgres, "pg_restore", "--no-owner", "--exit-on-error", f"--dbname={dsn}", str(file))


def tool(postgres: PostgresServer, name: str, *arguments: str) -> None:
    done = subprocess.run(
        [postgres.binaries / name, *arguments], capture_output=True, text=True, env=os.environ | {"PGTZ": "UTC"}
    )
    assert done.returncode == 0, done.stderr
