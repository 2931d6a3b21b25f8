"""`tocsin doctor` finds what is wrong, and says what to do about it."""

import asyncio
import base64
import shutil
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.cli.conftest import Done, Invoke, Stub
from tests.harness import Clock, receiving, running
from tests.postgres import PostgresServer, free_port
from tocsin.app import App, clock_ms, lock_store
from tocsin.cli import checks
from tocsin.settings import read_settings
from tocsin.store import sqlite
from tocsin.web.checks import python

OTHER_KEY = base64.b64encode(bytes(32)).decode()
Examine = Callable[..., Done]


@pytest.fixture
def doctor(invoke: Invoke) -> Examine:
    """With a port that is free, so that a machine where something runs on 8000 does not matter."""

    def run(*words: str, **environment: str) -> Done:
        return invoke("doctor", *words, **({"TOCSIN_PORT": str(free_port())} | environment))

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The data directory of a store that has been used."""
    found = tmp_path / "data"
    make_store(TOCSIN_DATA_DIR=str(found))
    return found


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[str]:
    """A database of its own, empty."""
    yield postgres.create_database("doctor")
    postgres.drop_database("doctor")


def make_store(**environment: str) -> None:
    async def made() -> None:
        await (await App.open(read_settings(environment))).close()

    asyncio.run(made())


def found(done: Done, check: str, level: str = "problem") -> dict[str, str]:
    """The one finding of this check; it decides the exit code as its level says, and a problem says what to do."""
    (finding,) = [one for one in done.json if one["check"] == check and (one["level"] == level or level == "")]
    assert finding["level"] == level
    assert done.code == int(any(one["level"] == "problem" for one in done.json))
    if level == "problem":
        assert finding["mend"]
    return dict(finding)


def levels(done: Done) -> set[str]:
    return {one["level"] for one in done.json}


# Where all is well.


def test_before_the_first_start_all_is_well_and_nothing_is_made(doctor: Examine, tmp_path: Path) -> None:
    done = doctor("-o", "json")
    assert (done.code, levels(done)) == (0, {"ok"})
    assert not (tmp_path / "data").exists()


def test_a_store_that_was_used_is_well(doctor: Examine, folder: Path) -> None:
    done = doctor("-o", "json")
    assert (done.code, levels(done)) == (0, {"ok"})
    assert {one["check"] for one in done.json} >= {
        "key",
        "sqlite",
        "store",
        "durability",
        "migrations",
        "sealed",
        "times",
    }


def test_one_line_each_on_a_terminal(doctor: Examine, folder: Path) -> None:
    lines = doctor("-o", "table").out.splitlines()
    assert len(lines) == len(doctor("-o", "json").json)
    assert all(line.startswith(("ok ", "warning ", "problem ")) for line in lines)


def test_a_pipe_gets_tab_separated_values(doctor: Examine) -> None:
    head, *lines = doctor().out.splitlines()
    assert head == "level\tcheck\tfound\tmend"
    assert all(line.count("\t") == 3 for line in lines)


# Settings.


def test_a_wrong_setting_is_named_and_ends_the_examination(doctor: Examine) -> None:
    done = doctor("-o", "json", TOCSIN_RETENTION_DAYS="0")
    assert "TOCSIN_RETENTION_DAYS='0'" in found(done, "settings")["found"]
    assert done.json[-1]["check"] == "settings"


@pytest.mark.parametrize(
    ("name", "value"),
    [("TOCSIN_ALLOW_TARGETS", "10.0.0.1/8"), ("TOCSIN_CONNECT_TO", "hooks.slack.com")],
)
def test_a_target_that_does_not_parse_is_a_problem(doctor: Examine, name: str, value: str) -> None:
    finding = found(doctor("-o", "json", **{name: value}), "targets")
    assert name in finding["found"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("TOCSIN_ALLOW_TARGETS", "10.0.0.0/8"), ("TOCSIN_CONNECT_TO", "hooks.slack.com=http://127.0.0.1:9000")],
)
def test_a_target_in_force_is_a_warning(doctor: Examine, name: str, value: str) -> None:
    done = doctor("-o", "json", **{name: value})
    assert value in found(done, "targets", "warning")["found"]
    assert done.code == 0


def test_being_open_to_others_without_tls_is_a_warning(doctor: Examine) -> None:
    # S31 of the security matrix
    assert "put TLS in front" in found(doctor("-o", "json", TOCSIN_HOST="0.0.0.0"), "exposure", "warning")["found"]
    safe = doctor("-o", "json", TOCSIN_HOST="0.0.0.0", TOCSIN_PUBLIC_URL="https://tocsin.example")
    assert levels(safe) == {"ok"}


@pytest.mark.parametrize(
    "settings",
    [{"TOCSIN_TRUSTED_PROXIES": "10.0.0.0/8, everybody"}, {"TOCSIN_OIDC_ISSUER": "https://login.example"},
     {"TOCSIN_JWT_ISSUER": "https://platform.example"}],
)  # fmt: skip
def test_settings_about_signing_in_that_cannot_be_are_a_problem(doctor: Examine, settings: dict[str, str]) -> None:
    assert "TOCSIN_" in found(doctor("-o", "json", **settings), "sign-in")["found"]


def test_a_provider_that_is_off_is_a_warning(doctor: Examine) -> None:
    done = doctor("-o", "json", NOTIFICATIONS_SLACK_ENABLED="false")
    assert "NOTIFICATIONS_SLACK_ENABLED is off" in found(done, "providers", "warning")["found"]


# The machine.


def test_an_old_python_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 4, "final", 0))
    monkeypatch.setattr(sys, "version", "3.10.4 (main)")
    finding = python()
    assert (finding.level, finding.found) == ("problem", "3.10.4 is too old.")


def test_a_data_directory_that_cannot_be_written_is_a_problem(doctor: Examine) -> None:
    finding = found(doctor("-o", "json", TOCSIN_DATA_DIR="/proc/tocsin"), "data")
    assert "cannot be written" in finding["found"]
    assert "TOCSIN_DATA_DIR" in finding["mend"]


def test_little_room_is_a_warning_and_hardly_any_a_problem(doctor: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    for free, level in ((500 * 1024**2, "warning"), (50 * 1024**2, "problem")):
        monkeypatch.setattr(shutil, "disk_usage", lambda path, free=free: shutil._ntuple_diskusage(10**12, 0, free))
        assert "TOCSIN_RETENTION_DAYS" in found(doctor("-o", "json"), "disk", level)["mend"]


def test_a_clock_that_was_never_set_is_a_problem(doctor: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "clock_ms", lambda: 86_400_000)
    assert "1970" in found(doctor("-o", "json"), "clock")["found"]


def test_an_old_sqlite_is_a_problem(doctor: Examine, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "library_version", lambda: "3.46.1")
    done = doctor("-o", "json")
    finding = found(done, "sqlite")
    assert "3.46.1 can corrupt" in finding["found"]
    assert "apsw" in finding["mend"]
    assert "3.46.1" in found(done, "store")["found"]  # nor is the store opened with it


# The port.


def test_a_port_in_use_by_another_program_is_a_problem(doctor: Examine) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        other.settimeout(0)
        port = other.getsockname()[1]
        finding = found(doctor("-o", "json", TOCSIN_PORT=str(port)), "port")
    assert f"{port} of 127.0.0.1 is in use by another program" in finding["found"]
    assert "TOCSIN_PORT" in finding["mend"]


def test_a_port_in_use_by_a_server_that_is_not_tocsin_is_a_problem(doctor: Examine, stub: Stub) -> None:
    stub.answer = ["ok"]
    assert "another program" in found(doctor("-o", "json", TOCSIN_PORT=stub.url.rpartition(":")[2]), "port")["found"]


def test_a_tocsin_of_another_store_on_the_port_is_a_warning(doctor: Examine, stub: Stub) -> None:
    stub.answer = {"status": "ok", "version": "0.1.0"}
    finding = found(doctor("-o", "json", TOCSIN_PORT=stub.url.rpartition(":")[2]), "port", "warning")
    assert "another store" in finding["found"]


def test_our_own_tocsin_is_no_problem(doctor: Examine, folder: Path, stub: Stub) -> None:
    stub.answer = {"status": "ok", "version": "0.1.0"}
    lock = lock_store(read_settings({"TOCSIN_DATA_DIR": str(folder)}))
    assert lock is not None
    with lock:
        done = doctor("-o", "json", TOCSIN_PORT=stub.url.rpartition(":")[2])
    assert levels(done) == {"ok"}
    assert "a Tocsin runs with this data directory" in found(done, "process", "ok")["found"]
    assert "a Tocsin 0.1.0 answers" in found(done, "port", "ok")["found"]


def test_a_host_that_is_not_ours_is_a_problem(doctor: Examine) -> None:
    assert "TOCSIN_HOST=192.0.2.1" in found(doctor("-o", "json", TOCSIN_HOST="192.0.2.1"), "port")["found"]


# The key.


def test_a_key_that_others_can_read_is_a_problem(doctor: Examine, folder: Path) -> None:
    key = folder / "secret.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    key.chmod(0o640)
    finding = found(doctor("-o", "json"), "key")
    assert "0640" in finding["found"]
    assert finding["mend"] == f"chmod 600 {key}"


def test_a_wrong_key_is_a_problem(doctor: Examine, folder: Path) -> None:
    done = doctor("-o", "json", TOCSIN_SECRET_KEY=OTHER_KEY)
    finding = found(done, "sealed")
    assert "not the one that sealed this store" in finding["found"]
    assert "TOCSIN_SECRET_KEY=new,old" in finding["mend"]
    assert OTHER_KEY not in done.out


def test_a_key_that_is_none_is_a_problem(doctor: Examine, folder: Path) -> None:
    done = doctor("-o", "json", TOCSIN_SECRET_KEY="short")
    assert "32 bytes in base64" in found(done, "key")["found"]
    assert "short" not in done.out


def test_a_key_that_is_gone_is_a_problem_and_no_other_is_made(doctor: Examine, folder: Path) -> None:
    (folder / "secret.key").unlink()
    done = doctor("-o", "json")
    assert "is gone" in found(done, "key")["found"]
    assert "there is no key here" in found(done, "sealed")["found"]
    assert not (folder / "secret.key").exists()


# The store.


def test_a_damaged_database_is_a_problem(doctor: Examine, folder: Path) -> None:
    for file in folder.glob("tocsin.db*"):
        file.write_bytes(b"not a database, " * 512)
    assert "restore it from a backup" in found(doctor("-o", "json"), "store")["mend"]


def test_an_event_from_the_future_is_a_problem(doctor: Examine, folder: Path) -> None:
    async def an_hour_ahead() -> None:
        clock = Clock()
        clock.move(3600)
        async with receiving(clock) as receiver, running({"TOCSIN_DATA_DIR": str(folder)}, clock, receiver) as tocsin:
            await tocsin.send()

    asyncio.run(an_hour_ahead())
    assert "it was set back" in found(doctor("-o", "json"), "times")["found"]


def test_a_store_of_a_newer_tocsin_is_a_problem(doctor: Examine, database: str, postgres: PostgresServer) -> None:
    make_store(TOCSIN_DATABASE_URL=database, TOCSIN_SECRET_KEY=OTHER_KEY)
    server_sql(postgres, "INSERT INTO migration VALUES (9999, 'from_the_future', 'x')")
    done = doctor("-o", "json", TOCSIN_DATABASE_URL=database, TOCSIN_SECRET_KEY=OTHER_KEY)
    assert "from_the_future" in found(done, "store")["found"]


@pytest.mark.parametrize(
    ("compatible", "level", "said"), [(True, "ok", "may work with it"), (False, "problem", "9001")]
)
def test_a_store_that_is_newer_is_said(
    doctor: Examine, database: str, *, compatible: bool, level: str, said: str
) -> None:
    """After going back to the version before."""
    make_store(TOCSIN_DATABASE_URL=database)

    async def newer() -> None:
        connection = await asyncpg.connect(database)
        await connection.execute("INSERT INTO migration VALUES (9001, 'of_the_next_version', 'x')")
        if compatible:
            await connection.execute("INSERT INTO migration_compatible VALUES (9001)")
        await connection.close()

    asyncio.run(newer())
    finding = found(doctor("-o", "json", TOCSIN_DATABASE_URL=database), "migrations" if compatible else "store", level)
    assert said in finding["found"]


def test_pending_migrations_are_a_warning(doctor: Examine, database: str) -> None:
    done = doctor("-o", "json", TOCSIN_DATABASE_URL=database)
    finding = found(done, "migrations", "warning")
    assert "0001_tables" in finding["found"]
    assert "tocsin migrate" in finding["mend"]


# PostgreSQL.


def test_an_unreachable_postgres_is_a_problem_without_its_password(doctor: Examine) -> None:
    for password in ("s3cret", "p%40ss%2Fword"):
        address = f"postgresql://tocsin:{password}@127.0.0.1:{free_port()}/tocsin"
        done = doctor("-o", "json", TOCSIN_DATABASE_URL=address)
        finding = found(done, "store")
        assert "PostgreSQL cannot be reached" in finding["found"]
        assert "TOCSIN_DATABASE_URL" in finding["mend"]
        assert password not in done.out + done.err
        assert "p@ss/word" not in done.out + done.err


@pytest.mark.parametrize(
    "address", ["mysql://root:s3cret@db/x", "postgresql://u:s3cret@[::1/x", "postgresql://u:s3cret@h:port/x"]
)
def test_an_address_that_is_none_is_a_problem_without_its_password(doctor: Examine, address: str) -> None:
    done = doctor("-o", "json", TOCSIN_DATABASE_URL=address)
    found(done, "store")
    assert "s3cret" not in done.out + done.err


def test_weak_durability_is_a_problem(doctor: Examine, database: str) -> None:
    """The server of the tests runs with all three off."""
    make_store(TOCSIN_DATABASE_URL=database, TOCSIN_SECRET_KEY=OTHER_KEY)
    done = doctor("-o", "json", TOCSIN_DATABASE_URL=database, TOCSIN_SECRET_KEY=OTHER_KEY)
    weak = [one for one in done.json if one["check"] == "durability"]
    assert done.code == 1
    assert {one["level"] for one in weak} == {"problem"}
    told = " ".join(one["found"] for one in weak)
    assert all(name in told for name in ("fsync", "synchronous_commit", "full_page_writes"))
    assert "Set it to on" in told
    assert {one["level"] for one in done.json if one["check"] != "durability"} == {"ok"}


def test_a_read_only_postgres_is_a_problem(doctor: Examine, database: str, postgres: PostgresServer) -> None:
    make_store(TOCSIN_DATABASE_URL=database, TOCSIN_SECRET_KEY=OTHER_KEY)
    postgres.run_sql("ALTER DATABASE doctor SET default_transaction_read_only = on")
    done = doctor("-o", "json", TOCSIN_DATABASE_URL=database, TOCSIN_SECRET_KEY=OTHER_KEY)
    assert "default_transaction_read_only" in found(done, "store")["mend"]


def test_a_user_without_rights_is_a_problem(doctor: Examine, database: str, postgres: PostgresServer) -> None:
    postgres.run_sql("CREATE ROLE doctor_guest LOGIN")
    try:
        done = doctor("-o", "json", TOCSIN_DATABASE_URL=database.replace("postgres@", "doctor_guest@"))
        finding = found(done, "store")
    finally:
        postgres.run_sql("DROP ROLE doctor_guest")
    assert "permission denied" in finding["found"]
    assert "GRANT CREATE" in finding["mend"]


@pytest.mark.parametrize(("off_s", "level"), [(10, "warning"), (-10, "warning"), (120, "problem"), (-120, "problem")])
def test_a_clock_that_is_off_is_told(
    doctor: Examine, database: str, monkeypatch: pytest.MonkeyPatch, off_s: int, level: str
) -> None:
    make_store(TOCSIN_DATABASE_URL=database, TOCSIN_SECRET_KEY=OTHER_KEY)
    monkeypatch.setattr(checks, "clock_ms", lambda: clock_ms() + off_s * 1000)
    done = doctor("-o", "json", TOCSIN_DATABASE_URL=database, TOCSIN_SECRET_KEY=OTHER_KEY)
    (finding,) = [one for one in done.json if one["check"] == "times"]
    assert finding["level"] == level
    assert ("ahead of" if off_s > 0 else "behind") in finding["found"]
    assert "chrony" in finding["mend"]


def server_sql(postgres: PostgresServer, statement: str, database: str = "doctor") -> Any:
    """A statement in another database than the server's own."""
    kept, postgres.address = postgres.address, postgres.dsn(database)
    try:
        return postgres.run_sql(statement)
    finally:
        postgres.address = kept
