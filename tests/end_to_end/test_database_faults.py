"""PostgreSQL goes away in every way: the API says so soon, nothing acknowledged is lost, all resumes by itself."""

import itertools
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psutil  # type: ignore[import-untyped]
import pytest

from tests.end_to_end.ledger import Ledger, Load
from tests.end_to_end.process import Site, steady_port, wait_for
from tests.end_to_end.proxy import Proxy
from tests.end_to_end.receiver import Receiver, counted
from tests.end_to_end.verdict import wait_until_quiet
from tests.postgres import NOBODY, PostgresServer, start_postgres

pytestmark = pytest.mark.alone

ANSWER_S = 3.0
"""In this time every request is answered, whatever the database does."""

BUSY_S = 0.5
"""What the sender itself may add, on a machine that does other work."""

HEALS_S = 30.0
PER_S = 60
prefixes = (f"fault{number}-" for number in itertools.count())


@dataclass
class Told:
    """What a fault did. `healed_s`: until the first delivery after its end."""

    ledger: Ledger
    during: dict[str, int]
    healed_s: float
    again: int
    ready: set[int] = field(default_factory=set)

    def __str__(self) -> str:
        return (
            f"heals in {self.healed_s:.2f} s; slowest answer {self.ledger.slowest_s:.2f} s; during the fault "
            f"{self.during}; {len(self.ledger.acked)} acknowledged; {self.again} came twice; readyz {self.ready}"
        )


class Standing:
    """An API and a worker, which reach their PostgreSQL through a proxy; faults come one after the other."""

    def __init__(self, folder: Path, postgres: PostgresServer, proxy: Proxy, receiver: Receiver) -> None:
        self.postgres = postgres
        self.proxy = proxy
        self.receiver = receiver
        self.site = Site(folder / "site", postgres=postgres, database="faults")
        where = urlsplit(self.site.environment["TOCSIN_DATABASE_URL"])
        through = where._replace(netloc=f"postgres@127.0.0.1:{proxy.port}")
        self.site.environment["TOCSIN_DATABASE_URL"] = urlunsplit(through)
        self.api = self.site.server("api").start()
        self.worker = self.site.server("worker").start()
        self.api.add_webhook(receiver.url("/ok/all"), ["load.*"])

    def through(
        self, begin: Callable[[], object], heal: Callable[[], object], lasts_s: float, *, per_s: float = PER_S
    ) -> Told:
        """Load before, during and after; what holds after any fault is checked here."""
        before = len(self.receiver.arrivals())
        prefix = next(prefixes)
        with Load([self.api.url], self.site.token, per_s=per_s, seed=1, prefix=prefix) as load:
            wait_for("it sends", lambda: len(self.receiver.arrivals()) > before + 10, 10.0, 0.01)
            answers = dict(load.ledger.answers)
            begin()
            ready = set()
            until = time.monotonic() + lasts_s
            while time.monotonic() < until:
                ready.add(self.api.call("GET", "/readyz", timeout_s=ANSWER_S)[0])
                time.sleep(0.1)
            heal()
            healed_ns = time.monotonic_ns()
            during = {a: n - answers.get(a, 0) for a, n in load.ledger.answers.items() if n > answers.get(a, 0)}
            wait_for("it sends again", lambda: self.first_since(healed_ns), HEALS_S, 0.01)
            healed_s = (self.first_since(healed_ns) - healed_ns) / 1e9
            ledger = load.stop()
        wait_until_quiet(self.site, 60.0)
        again = sum(len(a) > 1 for a in counted(self.receiver.arrivals()[before:]).values())
        told = Told(ledger, during, healed_s, again, ready)
        print(f"\n{told}")
        self.check(ledger, prefix)
        return told

    def first_since(self, ns: int) -> int:
        """When the first message came since then; 0 where none did. What was on its way already does not count."""
        return next((arrival.at_ns for arrival in self.receiver.arrivals() if arrival.at_ns > ns + 50_000_000), 0)

    def check(self, ledger: Ledger, prefix: str) -> None:
        for server in (self.api, self.worker):
            assert server.is_running(), server.log()[-2000:]
            assert '"exc_info"' not in server.log()
            assert "Traceback" not in server.log(), server.log()[-4000:]
        assert not ledger.broken_promises, ledger.broken_promises[:3]
        stored = {row[0] for row in self.site.rows("SELECT id FROM event")}
        assert ledger.acked.keys() <= stored, f"{len(ledger.acked.keys() - stored)} acknowledged events are not stored"
        rows = self.site.rows("SELECT status, count(*) FROM delivery GROUP BY status")
        assert [row[0] for row in rows] == ["delivered"], rows
        got = {arrival.event for arrival in self.receiver.arrivals() if arrival.status == 200}
        assert ledger.acked.keys() <= got, "acknowledged, and never came"
        assert ledger.slowest_s <= ANSWER_S + BUSY_S, f"an answer took {ledger.slowest_s:.2f} s"


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    folder = tmp_path_factory.mktemp("faults")
    postgres = start_postgres(folder, durable=True, port=steady_port())
    try:
        with Proxy(postgres.port) as proxy, Receiver(folder / "receiver") as receiver:
            standing = Standing(folder, postgres, proxy, receiver)
            with standing.site:
                yield standing
    finally:
        postgres.remove()


@pytest.mark.parametrize("fault", ["refuse", "hang", "reset"])
def test_postgres_cannot_be_reached(fault: str, standing: Standing) -> None:
    """F11: refused, half-open, cut."""
    proxy = standing.proxy
    told = standing.through(getattr(proxy, fault), proxy.heal, 0.0 if fault == "reset" else 2.5)
    assert told.again == 0
    if fault != "reset":
        assert told.during["503"] > 5
        assert 503 in told.ready


def test_postgres_hangs(standing: Standing) -> None:
    """F11: every process of the server is stopped, as where its disk or its machine stands still."""
    root = psutil.Process(standing.postgres.pid())

    def every(number: signal.Signals) -> None:
        for process in (root, *root.children(recursive=True)):
            process.send_signal(number)

    told = standing.through(lambda: every(signal.SIGSTOP), lambda: every(signal.SIGCONT), 2.5)
    assert told.during["503"] > 5
    assert told.again == 0


def test_postgres_ends_our_sessions_again_and_again(standing: Standing) -> None:
    """F10: `pg_terminate_backend`, ten times in a second."""
    end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name LIKE 'tocsin%'"
    killer = Again(lambda: standing.postgres.run_sql(end), 0.1)
    told = standing.through(killer.start, killer.stop, 1.5)
    assert killer.rounds > 5
    assert told.again == 0


def test_a_backend_is_killed(standing: Standing) -> None:
    """F10: `kill -9` of one backend has PostgreSQL start anew, with recovery."""

    def kill() -> None:
        pid = standing.postgres.run_sql("SELECT min(pid) FROM pg_stat_activity WHERE application_name = 'tocsin'")
        psutil.Process(int(pid)).kill()

    assert standing.through(kill, lambda: None, 0.0).again == 0


def test_a_slow_postgres_is_slow_and_no_fault(standing: Standing) -> None:
    """F12: each way takes 30 ms longer. Nothing is refused, nothing comes twice."""
    told = standing.through(lambda: standing.proxy.slow(0.03), standing.proxy.heal, 2.0)
    assert told.again == 0
    assert told.during.get("202", 0) > 10
    assert "503" not in told.during


def test_a_table_that_somebody_locks(standing: Standing) -> None:
    """F12: what waits for a lock is answered in time, and the API says that it is not ready."""
    lock = "BEGIN; LOCK TABLE event IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(3); COMMIT"
    command = [str(standing.postgres.binaries / "psql"), "-XAtq", "-d", standing.postgres.dsn("faults"), "-c", lock]
    held: list[subprocess.Popen[bytes]] = []

    def begin() -> None:
        held.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))

    told = standing.through(begin, lambda: held[0].wait(10), 2.9)
    assert told.during["503"] >= 1
    assert 503 in told.ready
    assert told.again == 0


@pytest.mark.proof
def test_a_long_transaction_of_somebody_else(standing: Standing, capsys: pytest.CaptureFixture[str]) -> None:
    """F20: two minutes of a snapshot that keeps every dead row. Claims do not slow down by it."""
    held = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM event; SELECT pg_sleep(120); COMMIT"
    command = [str(standing.postgres.binaries / "psql"), "-XAtq", "-d", standing.postgres.dsn("faults"), "-c", held]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        waits_ms: list[list[int]] = []
        for _ in range(6):
            standing.through(lambda: None, lambda: None, 18.0, per_s=120)
            late = "SELECT delivered_ms - created_ms FROM delivery ORDER BY id DESC LIMIT 1500"
            waits_ms.append(sorted(int(row[0]) for row in standing.site.rows(late)))
        assert process.poll() is None, "the transaction ended too soon; the test shows nothing"
    finally:
        process.kill()
        process.wait()
    p99 = [waits[int(len(waits) * 0.99)] for waits in waits_ms]
    with capsys.disabled():
        print(f"\nlong transaction: p99 from accepted to delivered in each of six rounds: {p99} ms")
    assert p99[-1] <= max(3 * p99[0], 500)


@pytest.mark.proof
def test_a_standby_takes_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """F13: synchronous replication, the primary is killed, the standby promoted. Both are in the address."""
    primary = start_postgres(tmp_path, durable=True, port=steady_port())
    standby = standby_of(primary)
    try:
        standby.start()
        primary.run_sql("ALTER SYSTEM SET synchronous_standby_names = '*'")
        primary.run_sql("SELECT pg_reload_conf()")
        with (
            Receiver(tmp_path / "receiver") as receiver,
            Site(tmp_path / "site", postgres=primary, database="ha") as site,
        ):
            site.environment["TOCSIN_DATABASE_URL"] = (
                f"postgresql://postgres@127.0.0.1:{primary.port},127.0.0.1:{standby.port}/ha"
                "?target_session_attrs=read-write"
            )
            api, worker = site.server("api").start(), site.server("worker").start()
            api.add_webhook(receiver.url("/ok/all"), ["load.*"])
            with Load([api.url], site.token, per_s=PER_S, seed=1) as load:
                wait_for("it sends", lambda: len(receiver.arrivals()) > 200, 20.0, 0.01)
                primary.kill()
                killed_ns = time.monotonic_ns()
                time.sleep(2.0)
                standby.run_sql("SELECT pg_promote()")
                before = len(receiver.arrivals())
                wait_for("it sends again", lambda: len(receiver.arrivals()) > before + 5, HEALS_S, 0.01)
                healed_s = (time.monotonic_ns() - killed_ns) / 1e9
                time.sleep(5.0)
                ledger = load.stop()
            site.postgres = standby
            wait_until_quiet(site, 60.0)
            stored = {row[0] for row in site.rows("SELECT id FROM event")}
            lost = ledger.acked.keys() - stored
            with capsys.disabled():
                print(
                    f"\nstandby took over: {len(ledger.acked)} acknowledged, {len(lost)} lost; first delivery "
                    f"{healed_s:.1f} s after the kill; slowest answer {ledger.slowest_s:.2f} s; {ledger.answers}"
                )
            assert not lost
            assert not ledger.broken_promises, ledger.broken_promises[:3]
            assert worker.is_running()
            assert ledger.slowest_s <= ANSWER_S + BUSY_S
    finally:
        standby.remove()
        primary.remove()


def standby_of(primary: PostgresServer) -> PostgresServer:
    """A copy of this server that follows it; not started."""
    assert primary.folder is not None
    home = primary.folder / "standby"
    home.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(home, NOBODY, NOBODY)
    command: list[str | Path] = [
        primary.binaries / "pg_basebackup",
        "-d",
        primary.address,
        "-D",
        home / "data",
        "-R",
        "-X",
        "stream",
    ]
    as_owner: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    subprocess.run(command, check=True, env={"PATH": str(primary.binaries), "LC_ALL": "C"}, cwd=home, **as_owner)
    port = steady_port()
    address = f"postgresql://postgres@127.0.0.1:{port}/postgres"
    return PostgresServer(address, primary.binaries, home, port, durable=True)


class Again:
    """Something that is done again and again in a thread."""

    def __init__(self, what: Callable[[], object], every_s: float) -> None:
        self.what = what
        self.every_s = every_s
        self.rounds = 0
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self.thread.start()

    def stop(self) -> None:
        self.ending.set()
        self.thread.join(10)

    def _run(self) -> None:
        while not self.ending.is_set():
            self.what()
            self.rounds += 1
            self.ending.wait(self.every_s)
