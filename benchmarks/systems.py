"""The two systems that are measured, behind one face: Tocsin, by its public surface alone, and the bare line."""

import http.client
import json
import re
import subprocess
import time
from pathlib import Path
from typing import Any, Self, TypeVar

import msgspec

from benchmarks import load, sink
from benchmarks.process import ROOT, Program, clean_env, cpu_s, module
from tests.postgres import PostgresServer, free_port, start_postgres

TOCSIN = str(ROOT / ".venv" / "bin" / "tocsin")
WAIT_S = 120.0
POLL_S = 0.02


def call(port: int, method: str, path: str, body: object = None, token: str = "") -> bytes:
    """One request to a local server; raises on anything but 2xx, and shows what the server said."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    reply = connection.getresponse()
    said = reply.read()
    connection.close()
    if not 200 <= reply.status < 300:
        raise RuntimeError(f"{method} {path}: {reply.status} {said[:500].decode(errors='replace')}")
    return said


def accepts(port: int, event: bytes, token: str) -> bool:
    """Whether a server takes this event now."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("POST", "/v1/events", event, {"Authorization": f"Bearer {token}"})
        return connection.getresponse().status == 202
    except OSError:
        return False
    finally:
        connection.close()


def gauge(metrics: str, name: str, label: str = "") -> float:
    """The sum of a metric's samples, of those that carry `label` where one is given."""
    found = re.findall(rf"^{name}(\{{[^}}]*\}})? ([0-9.eE+-]+)", metrics, re.MULTILINE)
    if not found:
        raise RuntimeError(f"/metrics has no {name} now:\n{metrics[:2000]}")
    return sum(float(value) for labels, value in found if label in labels)


class Sink:
    """The receiver, in a process of its own."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.port = port or free_port()
        self.program = Program(module("sink", "--port", self.port), log=folder / "sink.log")
        self.program.wait_for(self.port)

    def url(self, path: str = "/x", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def count(self, path: str = "") -> int:
        """Requests since the last reset, of those whose path begins with `path` where one is given."""
        return int(self._ask(f"/count{path}"))

    def reset(self) -> None:
        self._ask("/reset")

    def stats(self) -> sink.Stats:
        return msgspec.json.decode(self._ask("/stats"), type=sink.Stats)

    def _ask(self, path: str) -> bytes:
        try:
            return call(self.port, "GET", path)
        except OSError as error:
            state = self.program.process.poll()
            raise RuntimeError(f"the sink does not answer (exit code {state}): {self.program.tail()}") from error


class System:
    """A running system under test. `postgres` is the server that it stores to, None with SQLite."""

    name = ""

    def __init__(self, folder: Path, sink: Sink, postgres: PostgresServer | None) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.sink = sink
        self.postgres = postgres
        self.port = free_port()
        self.token = ""
        self.sent = 0
        self.dsn = postgres.create_database(f"{self.name}_{self.port}") if postgres else ""
        self.program: Program | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        if self.postgres:
            self.postgres.drop_database(f"{self.name}_{self.port}")

    def command(self) -> list[str]:
        raise NotImplementedError

    def env(self) -> dict[str, str]:
        return {}

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.launch()
        self.running().wait_for(self.port)

    def launch(self) -> None:
        """Start it, and wait for nothing."""
        self.program = Program(self.command(), env=self.env(), log=self.folder / "log")

    def stop(self) -> None:
        if self.program:
            self.program.stop()
        self.program = None

    def running(self) -> Program:
        """The program; raises where it has ended, and shows its last words."""
        assert self.program is not None, f"{self.name} was not started"
        code = self.program.process.poll()
        if code is not None:
            raise RuntimeError(f"{self.name} ended by itself or was killed, exit code {code}:\n{self.program.tail()}")
        return self.program

    def cpu_s(self) -> tuple[float, float]:
        """CPU seconds so far: of its own processes, and of PostgreSQL, which the systems of a figure use in turns."""
        return self.running().cpu_s(), cpu_s(self.postgres.pid()) if self.postgres else 0.0

    def progress(self) -> tuple[int, int]:
        """Deliveries that wait, deliveries that the store says are delivered."""
        text = call(self.port, "GET", "/metrics", token=self.token).decode()
        return int(gauge(text, "tocsin_deliveries_waiting")), int(
            gauge(text, "tocsin_deliveries_total", 'status="delivered"')
        )

    def load(self, **plan: Any) -> load.Outcome:
        """Run the load generator against it; every event is a run of its own."""
        made = load.Plan(url=f"http://127.0.0.1:{self.port}/v1/events", token=self.token, first=self.sent + 1, **plan)
        self.sent += made.events
        command = module("load", msgspec.json.encode(made).decode())
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
        if done.returncode:
            raise RuntimeError(f"load failed: {done.stderr[-2000:]}\n{self.running().tail()}")
        outcome = msgspec.json.decode(done.stdout, type=load.Outcome)
        if outcome.errors:
            raise RuntimeError(f"{self.name} answered {outcome.errors}\n{self.running().tail()}")
        return outcome

    def wait_until_done(self, received: int) -> None:
        """Return once the sink has `received` requests and the store says that nothing waits."""
        self.wait_until_received(received)
        until = time.monotonic() + WAIT_S
        while (progress := self.progress())[0] > 0:
            if time.monotonic() > until:
                raise RuntimeError(f"{self.name}: after {WAIT_S:.0f} s {progress[0]} still wait\n{self.tail()}")
            time.sleep(POLL_S)

    def wait_until_received(self, received: int, path: str = "") -> None:
        """Return once the sink has `received` requests, of those whose path begins with `path` where one is given."""
        until = time.monotonic() + WAIT_S
        while (count := self.sink.count(path)) < received:
            self.running()
            if time.monotonic() > until:
                raise RuntimeError(f"{self.name}: {count} of {received} came in {WAIT_S:.0f} s\n{self.tail()}")
            time.sleep(POLL_S)

    def tail(self) -> str:
        """The end of its log; raises where it has ended."""
        return self.running().tail()


class BareLine(System):
    """The limit."""

    name = "bare"

    def command(self) -> list[str]:
        store, dsn = ("postgres", self.dsn) if self.postgres else ("sqlite", self.folder / "bare.db")
        return module("bare_line", "--store", store, "--dsn", dsn, "--port", self.port, "--sink", self.sink.url())


class Tocsin(System):
    """The product."""

    name = "tocsin"

    def command(self) -> list[str]:
        return [TOCSIN, "serve"]

    def env(self) -> dict[str, str]:
        return {
            "TOCSIN_DATA_DIR": str(self.folder / "data"),
            "TOCSIN_DATABASE_URL": self.dsn,
            "TOCSIN_HOST": "127.0.0.1",
            "TOCSIN_PORT": str(self.port),
            "TOCSIN_ALLOW_TARGETS": "127.0.0.0/8",
            "TOCSIN_LOG_LEVEL": "warning",
        }

    def make_token(self) -> None:
        """An admin's token, made before the server starts."""
        command = [TOCSIN, "token", "create", "--role", "admin"]
        made = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=clean_env(self.env()))
        if made.returncode:
            raise RuntimeError(f"{' '.join(command)}: {made.stdout}{made.stderr}")
        self.token = made.stdout.strip()

    def start(self) -> None:
        if not self.token:
            self.make_token()
        super().start()

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = json.loads(call(self.port, "POST", path, body, self.token))
        return made

    def add_endpoint(self, name: str, url: str, events: tuple[str, ...] = ()) -> str:
        """A custom webhook; without `events` only rules lead to it."""
        body = {"provider_type": "webhook", "name": name, "webhook_url": url, "enabled_events": events}
        return str(self.post("/v1/webhooks", body)["id"])

    def add_rule(self, name: str, endpoint_id: str, **fields: Any) -> None:
        self.post("/v1/alert-rules", {"name": name, "webhook_endpoint_ids": [endpoint_id], **fields})

    def add_one_endpoint(self) -> None:
        """What the bare line does: every event to the sink. One rule, by type and pipeline, leads there."""
        endpoint_id = self.add_endpoint("sink", self.sink.url())
        self.add_rule("failures", endpoint_id, event_types=["run.failed", "run.warning"], pipelines=["etl/*"])


AnySystem = TypeVar("AnySystem", bound=System)


class Bench:
    """What the figures of one run share: a folder, the sink, PostgreSQL once one asks for it, how long to measure."""

    def __init__(self, folder: Path, *, seconds: float, rounds: int, backlog: int) -> None:
        self.folder = folder
        self.seconds = seconds
        self.rounds = rounds
        self.backlog = backlog
        self.sink = Sink(folder)
        self.server: PostgresServer | None = None
        self.made = 0

    def postgres(self) -> PostgresServer:
        """A durable one, the same for all."""
        if self.server is None:
            self.server = start_postgres(self.folder, durable=True)
        return self.server

    def new(self, kind: type[AnySystem], store: str) -> AnySystem:
        """A system with an empty store, not started."""
        self.made += 1
        folder = self.folder / f"{self.made}-{kind.name}-{store}"
        return kind(folder, self.sink, self.postgres() if store == "postgres" else None)

    def close(self) -> None:
        self.sink.program.stop()
        if self.server:
            self.server.remove()
