"""F43, F44: the next version beside this one, migrations under load, and a migration that is killed.

The next version is this program with one migration more (`TEST_MIGRATION`).
"""

import time
from pathlib import Path

import pytest

from tests.end_to_end.ledger import Load
from tests.end_to_end.process import Site, wait_for
from tests.end_to_end.receiver import Receiver, counted
from tests.end_to_end.verdict import wait_until_quiet
from tests.postgres import PostgresServer

EXPAND = """-- compatible: what is new has a default
ALTER TABLE event ADD COLUMN tag TEXT NOT NULL DEFAULT '';
ALTER TABLE delivery ADD COLUMN tag TEXT NOT NULL DEFAULT '';
CREATE TABLE tag (id BIGINT PRIMARY KEY);
"""
SLOW = {
    "postgres": EXPAND + "DO $$ BEGIN PERFORM pg_sleep(1.5); END $$;",
    "sqlite": EXPAND
    + """
    INSERT INTO tag WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500000) SELECT i FROM n;
    """,
}
RAN = "SELECT count(*) FROM migration WHERE number = 9001"


def next_version(site: Site, folder: Path, migration: str) -> Site:
    """The same installation, run by the next version."""
    folder.mkdir()
    file = folder / "migration.sql"
    file.write_text(migration)
    known = {name: value for name, value in site.environment.items() if name == "TOCSIN_DATABASE_URL"}
    newer = Site(
        folder, data_dir=site.data_dir, settings=known, with_token=False, changes={"TEST_MIGRATION": str(file)}
    )
    newer.token = site.token
    return newer


def test_old_and_new_run_side_by_side_and_back(
    tmp_path: Path, receiver: Receiver, durable_postgres: PostgresServer
) -> None:
    with Site(tmp_path / "old", postgres=durable_postgres, database="rolling") as old:
        api, worker = old.server("api").start(), old.server("worker").start()
        api.add_webhook(receiver.url("/ok/all"), ["load.*"])
        with next_version(old, tmp_path / "new", EXPAND) as new, Load([api.url], old.token, per_s=120, seed=1) as load:
            wait_for("it sends", lambda: len(receiver.arrivals()) > 30, 10.0, 0.01)
            new_api, new_worker = new.server("api").start(), new.server("worker").start()
            assert old.rows(RAN) == [("1",)]
            with Load([new_api.url, api.url], old.token, per_s=60, seed=2, prefix="f") as both:
                wait_for("both take events", lambda: len(both.ledger.acked) > 60, 10.0, 0.01)
                assert worker.stop() == 0, worker.log()[-2000:]
                seen = len(receiver.arrivals())
                wait_for("the new one sends", lambda: len(receiver.arrivals()) > seen + 30, 10.0, 0.01)
                worker.start()  # back: the store is newer than this program, and compatible
                assert new_worker.stop() == 0, new_worker.log()[-2000:]
                seen = len(receiver.arrivals())
                wait_for("the old one sends", lambda: len(receiver.arrivals()) > seen + 30, 10.0, 0.01)
                ledgers = [load.stop(), both.stop()]
            for process in (new_api, api):
                assert "Traceback" not in process.log(), process.log()[-3000:]
        wait_until_quiet(old, 20.0)
        acked: dict[str, str] = {}
        for ledger in ledgers:
            assert not ledger.broken_promises, ledger.broken_promises[:3]
            assert set(ledger.answers) <= {"202", "503"}, ledger.answers
            acked |= ledger.acked
        assert acked.keys() <= {row[0] for row in old.rows("SELECT id FROM event")}
        assert [row[0] for row in old.rows("SELECT DISTINCT status FROM delivery")] == ["delivered"]
    assert all(len(arrivals) == 1 for arrivals in counted(receiver.arrivals()).values())


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_a_migration_that_is_killed_runs_again(store: str, tmp_path: Path, durable_postgres: PostgresServer) -> None:
    """Under load where two can run at once: nothing but 202 and 503 is answered, and what was acknowledged is there."""
    given = {"postgres": durable_postgres, "database": "killed"} if store == "postgres" else {}
    with Site(tmp_path / "old", **given) as old, next_version(old, tmp_path / "new", SLOW[store]) as new:  # type: ignore[arg-type]
        api, newer = old.server().start(), new.server()
        with Load([api.url], old.token, per_s=100, seed=3) as load:
            wait_for("it takes events", lambda: len(load.ledger.acked) > 30, 10.0, 0.01)
            if store == "sqlite":  # for one process: the old one ends first
                load.stop()
                assert api.stop() == 0
            newer.launch()
            wait_for("it migrates", lambda: "TEST_MIGRATION is known" in newer.log(), 10.0, 0.01)
            time.sleep(0.2)
            newer.kill()
            assert old.rows(RAN) == [("0",)]
            if store == "postgres":
                answered = len(load.ledger.acked)
                wait_for("it goes on", lambda: len(load.ledger.acked) > answered + 30, 10.0, 0.01)
            newer.start()
            ledger = load.stop()
        assert old.rows(RAN) == [("1",)]
        assert set(ledger.answers) <= {"202", "503"}, ledger.answers
        assert not ledger.broken_promises
        assert ledger.acked.keys() <= {row[0] for row in old.rows("SELECT id FROM event")}


def test_a_version_that_cannot_work_with_the_store_does_not_start(tmp_path: Path) -> None:
    with Site(tmp_path / "old") as old:
        newer = next_version(old, tmp_path / "new", EXPAND.partition("\n")[2])
        planned = newer.run("migrate", "--plan").stdout
        assert "stop the version before first" in planned
        assert "ALTER TABLE event" in planned
        assert "9001_of_the_next_version" in newer.run("migrate", "--check", expect=1).stdout
        newer.run("migrate")
        done = old.run("serve", "--port", "0", expect=1)
        assert "migration 9001 (of_the_next_version), which this Tocsin does not know" in done.stderr
        assert "Traceback" not in done.stderr
