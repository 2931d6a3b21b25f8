"""Back-ups: what `tocsin backup` copies, what `tocsin restore` refuses, and what it leaves when it is cut short."""

import base64
import os
import stat
from pathlib import Path

import apsw
import pytest

from tests.cli.conftest import Done, Invoke
from tocsin.store import backup as store_backup
from tocsin.store.migrate import migrations


@pytest.fixture
def data(invoke: Invoke, tmp_path: Path) -> Path:
    """A data directory with a store that has one token."""
    assert invoke("token", "create", "--role", "admin", "--name", "first").code == 0
    return tmp_path / "data"


def tokens(data: Path) -> list[str]:
    store = apsw.Connection(str(data / "tocsin.db"))
    try:
        return [str(row[0]) for row in store.execute("SELECT name FROM token ORDER BY id")]
    finally:
        store.close()


def backed_up(invoke: Invoke, file: Path, *options: str) -> Done:
    done = invoke("backup", str(file), *options)
    assert done.code == 0, done.err
    return done


def test_what_was_backed_up_comes_back(invoke: Invoke, data: Path, tmp_path: Path) -> None:
    file = tmp_path / "backup.db"
    done = backed_up(invoke, file)
    assert "not in it: the key" in done.out
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [found.name for found in tmp_path.iterdir() if found.name.startswith("backup")] == ["backup.db"]
    invoke("token", "create", "--role", "viewer", "--name", "second")
    assert tokens(data) == ["first", "second"]
    assert invoke("restore", str(file)).code == 2, "a store was there, and nobody said --force"
    assert tokens(data) == ["first", "second"]
    done = invoke("restore", str(file), "--force")
    assert done.code == 0, done.err
    assert tokens(data) == ["first"]
    assert stat.S_IMODE((data / "tocsin.db").stat().st_mode) & 0o077 == 0
    kept = Path(done.out.splitlines()[1].partition("\t")[0])
    os.replace(kept, data / "tocsin.db")  # the one that was put aside is whole
    assert tokens(data) == ["first", "second"]
    assert not (data / "restoring").exists()


def test_a_file_is_not_replaced_unasked(invoke: Invoke, data: Path, tmp_path: Path) -> None:
    file = tmp_path / "backup.db"
    file.write_bytes(b"something else")
    assert invoke("backup", str(file)).code == 2
    assert file.read_bytes() == b"something else"
    backed_up(invoke, file, "--force")
    assert store_backup.check(file).migration == migrations("sqlite")[-1].number
    for wrong in (str(data / "tocsin.db"), str(tmp_path), str(tmp_path / "nowhere" / "x.db")):
        assert invoke("backup", wrong, "--force").code == 2, wrong
    assert tokens(data) == ["first"]


def test_the_key_goes_along_where_that_is_asked(invoke: Invoke, data: Path, tmp_path: Path) -> None:
    file, elsewhere = tmp_path / "backup.db", str(tmp_path / "elsewhere")
    backed_up(invoke, file, "--with-key")
    key_file = tmp_path / "backup.db.key"
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert key_file.read_text() == (data / "secret.key").read_text()
    done = invoke("restore", str(file), TOCSIN_DATA_DIR=elsewhere)
    assert done.code == 0, done.err
    assert tokens(Path(elsewhere)) == ["first"]
    assert stat.S_IMODE((Path(elsewhere) / "secret.key").stat().st_mode) == 0o600
    assert invoke("token", "create", "--role", "viewer", TOCSIN_DATA_DIR=elsewhere).code == 0


def test_a_wrong_or_missing_key_replaces_nothing(invoke: Invoke, data: Path, tmp_path: Path) -> None:
    file, elsewhere = tmp_path / "backup.db", tmp_path / "elsewhere"
    backed_up(invoke, file)
    done = invoke("restore", str(file), TOCSIN_DATA_DIR=str(elsewhere))
    assert (done.code, "key is missing" in done.err) == (2, True)
    other = base64.b64encode(b"o" * 32).decode()
    done = invoke("restore", str(file), TOCSIN_DATA_DIR=str(elsewhere), TOCSIN_SECRET_KEY=other)
    assert (done.code, "Nothing was replaced" in done.err) == (1, True)
    assert [found.name for found in elsewhere.iterdir()] == ["tocsin.lock"]


def test_what_is_no_backup_is_refused(invoke: Invoke, data: Path, tmp_path: Path) -> None:
    file = tmp_path / "backup.db"
    backed_up(invoke, file)
    damaged, other, newer = tmp_path / "damaged.db", tmp_path / "other.db", tmp_path / "newer.db"
    content = bytearray(file.read_bytes())
    for place in range(8192, len(content), 4096):
        content[place : place + 64] = b"\xff" * 64
    damaged.write_bytes(content)
    apsw.Connection(str(other)).execute("CREATE TABLE something (id TEXT)")
    newer.write_bytes(file.read_bytes())
    apsw.Connection(str(newer)).execute("INSERT INTO migration (number, name, checksum) VALUES (9999, 'future', 'x')")
    for bad, code in ((damaged, 1), (other, 1), (newer, 1), (tmp_path / "none.db", 2)):
        done = invoke("restore", str(bad), "--force")
        assert done.code == code, (bad, done.err)
        assert "Traceback" not in done.err
        assert tokens(data) == ["first"]
    assert {found.name for found in data.iterdir()} <= {"tocsin.db", "secret.key", "tocsin.lock"}


def test_a_restore_that_is_cut_short_leaves_the_old_store_or_the_new(
    invoke: Invoke, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # F47
    file = tmp_path / "backup.db"
    backed_up(invoke, file)
    invoke("token", "create", "--role", "viewer", "--name", "second")

    class Killed(BaseException):
        """As SIGKILL: nothing is caught."""

    for name in ("sync", "fold_log", "os.link", "os.replace"):
        with monkeypatch.context() as patch:

            def killed(*_: object) -> None:
                raise Killed

            patch.setattr(f"tocsin.store.backup.{name}", killed)
            with pytest.raises(Killed):
                invoke("restore", str(file), "--force")
        assert tokens(data) in (["first", "second"], ["first"])
    assert invoke("restore", str(file), "--force").code == 0
    assert tokens(data) == ["first"]


def test_it_says_what_to_do_for_postgres(invoke: Invoke, tmp_path: Path) -> None:
    for command, tool in (("backup", "pg_dump"), ("restore", "pg_restore")):
        done = invoke(command, str(tmp_path / "x"), TOCSIN_DATABASE_URL="postgresql://127.0.0.1:1/none")
        assert (done.code, tool in done.err) == (2, True)
