"""F19: a back-up made under load holds what was acknowledged before it began, and a restore delivers it."""

import subprocess
from pathlib import Path

from tests.end_to_end.ledger import Load
from tests.end_to_end.process import Site, wait_for
from tests.end_to_end.receiver import Receiver, counted
from tests.end_to_end.verdict import wait_until_quiet
from tests.postgres import PostgresServer

PER_S = 150


def judge(site: Site, receiver: Receiver, acked: set[str]) -> None:
    """Everything acknowledged before is stored and delivered; what is sent again is the same message."""
    wait_until_quiet(site, 30.0)
    assert len(acked) > 50, "too little load to mean anything"
    stored = {row[0] for row in site.rows("SELECT id FROM event")}
    assert acked <= stored
    assert {row[0] for row in site.rows("SELECT DISTINCT status FROM delivery")} == {"delivered"}
    arrivals = receiver.arrivals()
    assert acked <= {arrival.event for arrival in arrivals}
    for again in counted(arrivals).values():
        assert len({arrival.body for arrival in again}) == 1


def test_a_backup_of_sqlite_under_load(tmp_path: Path, receiver: Receiver) -> None:
    file = tmp_path / "backup.db"
    with Site(tmp_path / "site") as site:
        server = site.server().start()
        server.add_webhook(receiver.url("/slow/0.2"), ["load.*"])
        with Load([server.url], site.token, per_s=PER_S, seed=1) as load:
            wait_for("it sends", lambda: len(receiver.arrivals()) > 60, 10.0, 0.01)
            acked = set(load.ledger.acked)
            site.run("backup", "--with-key", str(file))
            after = len(load.ledger.acked)
            wait_for("it goes on", lambda: len(load.ledger.acked) > after + 30, 10.0, 0.01)
            refused = site.run("restore", str(file), "--force", expect=2)
            assert "Another Tocsin already uses" in refused.stderr
            ledger = load.stop()
        assert not ledger.broken_promises
        assert not [answer for answer in ledger.answers if answer != "202"], ledger.answers
        server.kill()
    with Site(tmp_path / "new", settings={"TOCSIN_DATA_DIR": str(tmp_path / "restored")}, with_token=False,
              data_dir=tmp_path / "restored") as new:  # fmt: skip
        said = new.run("restore", str(file)).stdout
        waiting = new.rows("SELECT 1 FROM delivery WHERE status IN ('pending', 'sending', 'retrying')")
        assert f"{len(waiting)} deliveries that will be sent" in said
        assert waiting, "nothing was being sent when the back-up was made; the test shows nothing"
        new.token = site.token
        new.server().start()
        judge(new, receiver, acked)


def test_a_dump_of_postgres_under_load(tmp_path: Path, receiver: Receiver, durable_postgres: PostgresServer) -> None:
    """With the commands of docs/operations.md."""
    page = (Path(__file__).parents[2] / "docs/operations.md").read_text("utf-8")
    commands = [line for line in page.splitlines() if line.startswith(("pg_dump ", "pg_restore "))]
    assert len(commands) == 2

    def run(command: str, database: str) -> None:
        words = command.replace("$TOCSIN_DATABASE_URL", durable_postgres.dsn(database)).replace(
            "tocsin.dump", str(file)
        )
        tool, *rest = words.replace('"', "").split()
        done = subprocess.run([durable_postgres.binaries / tool, *rest], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    file = tmp_path / "tocsin.dump"
    with Site(tmp_path / "site", postgres=durable_postgres, database="dumped") as site:
        server = site.server().start()
        server.add_webhook(receiver.url("/slow/0.2"), ["load.*"])
        with Load([server.url], site.token, per_s=PER_S, seed=2) as load:
            wait_for("it sends", lambda: len(receiver.arrivals()) > 60, 10.0, 0.01)
            acked = set(load.ledger.acked)
            run(commands[0], "dumped")
            ledger = load.stop()
        assert not ledger.broken_promises
        server.kill()
    with Site(tmp_path / "new", postgres=durable_postgres, database="restored", with_token=False,
              data_dir=site.data_dir) as new:  # fmt: skip
        run(commands[1], "restored")
        new.token = site.token
        # What was leased when the dump was made is free again when its lease ends: let it have ended.
        new.rows("UPDATE delivery SET lease_until_ms = 0 WHERE status = 'sending'")
        new.server().start()
        judge(new, receiver, acked)
