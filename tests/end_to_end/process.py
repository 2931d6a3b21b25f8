"""Real Tocsin processes: started, killed and brought back as a supervisor does it."""

import asyncio
import contextlib
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import apsw
import asyncpg
import psutil  # type: ignore[import-untyped]

from tests.postgres import PostgresServer
from tocsin.app import App, clock_ms, open_store
from tocsin.model.ids import DEFAULT_TENANT
from tocsin.settings import read_settings
from tocsin.web.api.tokens import make_token

TOCSIN = Path(sys.executable).with_name("tocsin")
LAUNCHER = Path(__file__).with_name("launcher.py")
ROOT = Path(__file__).parents[2]
SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
"""Every endpoint of these tests signs with it, so that the receiver knows it beforehand."""

STARTING_S = 20.0
LEASE_MS = 4000
"""What `short_lease` sets: a killed worker's messages are free again after it, not after a minute."""


def steady_port() -> int:
    """A free port that stays ours between a kill and the next start: no outgoing connection is ever given it."""
    first_given_away = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(10_000, max(first_given_away, 11_000))
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


class Server:
    """One `tocsin serve`, in a process group of its own; its log goes on over restarts."""

    def __init__(self, site: "Site", only: str) -> None:
        self.site = site
        self.only = only
        self.log_file = site.folder / f"{only or 'tocsin'}-{len(site.servers)}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.port = steady_port()
        self.log_began = 0

    @property
    def pid(self) -> int:
        assert self.process is not None, "the server was not started"
        return self.process.pid

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def launch(self) -> None:
        """Starts the process and does not wait for it."""
        command = [*self.site.command, "serve", "--port", str(self.port)]
        if self.only:
            command += ["--only", self.only]
        self.log_began = self.log_file.stat().st_size if self.log_file.exists() else 0
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                command, env=self.site.environment, cwd=self.site.folder, stdout=log, stderr=log, start_new_session=True
            )

    def start(self) -> "Server":
        """Starts the process; returns when it does its work."""
        self.launch()
        self.wait_until_ready()
        return self

    def wait_until_ready(self) -> None:
        until = time.monotonic() + STARTING_S
        while not self.is_ready():
            if self.process is None or self.process.poll() is not None or time.monotonic() > until:
                raise AssertionError(f"tocsin serve {self.only} did not start:\n{self.log()[-4000:]}")
            time.sleep(0.01)

    def is_ready(self) -> bool:
        if self.only == "worker":
            return '"event": "working"' in self.log()
        try:
            return self.call("GET", "/readyz", timeout_s=2)[0] == 200
        except OSError:
            return False

    def log(self) -> str:
        """What it said since its last start."""
        with self.log_file.open("rb") as log:
            log.seek(self.log_began)
            return log.read().decode("utf-8", "replace")

    def kill(self) -> int:
        """SIGKILL. Returns the moment, in nanoseconds of the clock that all processes share."""
        assert self.process is not None
        at_ns = time.monotonic_ns()
        self.process.kill()
        self.process.wait()
        return at_ns

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def stop(self, within_s: float = 30.0) -> int:
        """SIGTERM; returns the exit code."""
        self.signal(signal.SIGTERM)
        assert self.process is not None
        return self.process.wait(within_s)

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def rss_bytes(self) -> int:
        return int(psutil.Process(self.pid).memory_info().rss)

    def call(
        self, method: str, path: str, body: Any = None, *, timeout_s: float = 10.0
    ) -> tuple[int, dict[str, str], Any]:
        """One request with the site's token; the answer's JSON, or its text where it is none."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        try:
            headers = {"Authorization": f"Bearer {self.site.token}"}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            reply = connection.getresponse()
            raw = reply.read()
        except http.client.HTTPException as error:
            raise ConnectionError(str(error)) from error
        finally:
            connection.close()
        try:
            answer = json.loads(raw) if raw else None
        except ValueError:
            answer = raw.decode("utf-8", "replace")
        return reply.status, {name.lower(): value for name, value in reply.getheaders()}, answer

    def add_webhook(self, url: str, events: list[str], name: str = "receiver") -> str:
        """An endpoint for these event types; returns its id."""
        body = {"provider_type": "webhook", "name": name, "webhook_url": url, "enabled_events": events}
        status, _, answer = self.call("POST", "/v1/webhooks", body | {"secret": SECRET})
        assert status == 201, answer
        return str(answer["id"])


class Site:
    """One installation: a folder, a store and a token, with as many processes as are asked for.

    `changes` are launcher.py's: what only tests may change.
    """

    def __init__(
        self,
        folder: Path,
        *,
        postgres: PostgresServer | None = None,
        database: str = "",
        settings: Mapping[str, str] | None = None,
        changes: Mapping[str, str] | None = None,
        data_dir: Path | None = None,
        with_token: bool = True,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.postgres = postgres
        self.database = database
        self.data_dir = data_dir or folder / "data"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("TOCSIN_", "SLACK_"))}
        self.environment = kept | {
            "TOCSIN_DATA_DIR": str(self.data_dir),
            "TOCSIN_LOG_FORMAT": "json",
            "TOCSIN_ALLOW_TARGETS": "127.0.0.0/8",
            "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH", "")))),
            **(settings or {}),
        }
        if postgres is not None:
            self.environment["TOCSIN_DATABASE_URL"] = postgres.create_database(database)
        self.command = [str(TOCSIN)]
        self.servers: list[Server] = []
        self.token = self.make_token() if with_token else ""
        if changes:
            self.command = [sys.executable, str(LAUNCHER)]
            self.environment |= changes

    def make_token(self, role: str = "admin") -> str:
        """What `tocsin token create` does, without its second for starting."""

        async def made() -> str:
            settings = read_settings(self.environment)
            db, keyring = await open_store(settings, clock_ms())
            app = App(settings, db, keyring, works=False)
            try:
                return (await make_token(app, DEFAULT_TENANT, "test", role, "", None)).token
            finally:
                await app.close()

        return asyncio.run(made())

    def run(self, *arguments: str, expect: int | None = 0) -> subprocess.CompletedProcess[str]:
        """A command of Tocsin's, to its end."""
        command = [*self.command, *arguments]
        done = subprocess.run(
            command, env=self.environment, cwd=self.folder, capture_output=True, text=True, timeout=60
        )
        assert expect is None or done.returncode == expect, f"{command}: {done.returncode}\n{done.stderr}"
        return done

    def server(self, only: str = "") -> Server:
        server = Server(self, only)
        self.servers.append(server)
        return server

    def rows(self, sql: str) -> list[tuple[str, ...]]:
        """Rows straight from the store, past all of Tocsin's code; every value as text."""
        if self.postgres is not None:
            return asyncio.run(rows_of(self.postgres.dsn(self.database), sql))
        connection = apsw.Connection(str(self.data_dir / "tocsin.db"), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            connection.set_busy_timeout(5000)
            return [as_text(row) for row in connection.execute(sql)]
        finally:
            connection.close()

    def close(self) -> None:
        """Kills what still runs."""
        for server in self.servers:
            if server.is_running():
                server.signal(signal.SIGCONT)
                server.kill()

    def __enter__(self) -> "Site":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


async def rows_of(dsn: str, sql: str) -> list[tuple[str, ...]]:
    connection = await asyncpg.connect(dsn)
    try:
        return [as_text(row) for row in await connection.fetch(sql)]
    finally:
        await connection.close()


def as_text(row: Iterable[Any]) -> tuple[str, ...]:
    return tuple("" if value is None else str(value) for value in row)


def short_lease() -> dict[str, str]:
    """For `changes` and `settings` alike: leases that end after LEASE_MS, and attempts that fit into them."""
    return {"TEST_LEASE_MS": str(LEASE_MS), "WEBHOOK_CUSTOM_TIMEOUT_SECONDS": "1.5"}


def wait_for(what: str, holds: Any, within_s: float, every_s: float = 0.05) -> float:
    """Waits until `holds()` is true and returns how long that took; fails when it does not become true."""
    began = time.monotonic()
    while not holds():
        if time.monotonic() - began > within_s:
            raise AssertionError(f"not within {within_s} s: {what}")
        time.sleep(every_s)
    return time.monotonic() - began
