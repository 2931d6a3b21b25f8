"""Eight workers and two APIs on one PostgreSQL, beside one process that does both.

Quick receivers: one process alone uses up two cores, so that more of them can only get in each other's way; what is
judged is that throughput does not fall. Slow receivers (half a second each): one process may have so many requests on
their way and no more, so that more processes must deliver more. The same events, endpoints and load for both; a round
ends when the sink has every message and nothing waits. A message that comes twice fails the figure.
"""

import statistics
import time
from collections.abc import Iterator

from benchmarks.figure import Figure
from benchmarks.process import Program, cpu_s
from benchmarks.systems import TOCSIN, Bench, Tocsin, call, gauge
from tests.postgres import free_port

WORKERS = 8
ENDPOINTS = 20
SLOW_MS = 500
SLOW_EVENTS = 6000
"""Twelve seconds for one process: 256 requests on their way at half a second each. They come in batches, at once."""

QUICK_EVENTS = 4000
HOLD_QUICK = 0.8
HOLD_SLOW = 2.0


class Many(Tocsin):
    """As many processes as a larger installation has."""

    name = "many"

    def __enter__(self) -> "Many":
        self.others: list[Program] = []
        return self

    def command(self) -> list[str]:
        return [TOCSIN, "serve", "--only", "api"]

    def start(self) -> None:
        super().start()
        port = free_port()
        self.others.append(Program([*self.command(), "--port", str(port)], env=self.env(), log=self.folder / "api"))
        self.others[0].wait_for(port)
        self.ports = (self.port, port)
        for number in range(WORKERS):
            command = [TOCSIN, "serve", "--only", "worker"]
            self.others.append(Program(command, env=self.env(), log=self.folder / f"worker-{number}"))

    def stop(self) -> None:
        for program in self.others:
            program.stop()
        self.others = []
        super().stop()

    def progress(self) -> tuple[int, int]:
        """An API alone counts no deliveries; what waits is counted in the store."""
        text = call(self.port, "GET", "/metrics", token=self.token).decode()
        return int(gauge(text, "tocsin_deliveries_waiting")), 0

    def cpu_s(self) -> tuple[float, float]:
        own, postgres = super().cpu_s()
        return own + sum(cpu_s(other.process.pid) for other in self.others), postgres


def run(bench: Bench) -> Iterator[Figure]:
    with bench.new(Tocsin, "postgres") as one, bench.new(Many, "postgres") as many:
        for system in (one, many):
            system.start()
            for number in range(ENDPOINTS):
                for kind in ("ok", f"slow/{SLOW_MS}"):
                    endpoint_id = system.add_endpoint(f"{kind} {number}", bench.sink.url(f"/{kind}/{number}"))
                    system.add_rule(f"{kind} {number}", endpoint_id, pipelines=[f"{kind}/p{number}"])
        for kind, events, hold in (("ok", QUICK_EVENTS, HOLD_QUICK), (f"slow/{SLOW_MS}", SLOW_EVENTS, HOLD_SLOW)):
            per_s: dict[str, list[float]] = {"one": [], "many": []}
            for system in (one, many):
                delivered_per_s(system, kind, events // 4)
            for _ in range(bench.rounds):
                per_s["one"].append(delivered_per_s(one, kind, events))
                per_s["many"].append(delivered_per_s(many, kind, events))
            ratio = statistics.median(m / o for m, o in zip(per_s["many"], per_s["one"], strict=True))
            what = "quick receivers" if kind == "ok" else f"receivers take {SLOW_MS / 1000} s"
            yield Figure(
                name=f"PostgreSQL, {WORKERS} workers and 2 APIs, {what}",
                ours=statistics.median(per_s["many"]),
                limit=statistics.median(per_s["one"]),
                ratio=ratio,
                unit="/s",
                hold=f"≥ {hold:.1f} ×",
                held=ratio >= hold,
                note="limit: one process that does both; nothing came twice",
                detail={"rounds": per_s},
            )


def delivered_per_s(system: Tocsin, kind: str, events: int) -> float:
    """One round; both APIs get their half where there are two."""
    system.sink.reset()
    pipelines = tuple(f"{kind}/p{number}" for number in range(ENDPOINTS))
    ports = getattr(system, "ports", (system.port,))
    began = time.monotonic()
    own = system.port
    for port in ports:
        system.port = port
        system.load(events=events // len(ports), pipelines=pipelines, batch=1 if kind == "ok" else 100)
    system.port = own
    system.wait_until_done(events)
    seconds = time.monotonic() - began
    received = system.sink.stats()
    if received.distinct < events or received.received > received.distinct:
        raise RuntimeError(f"{system.name}: {events} events, {received.distinct} messages, {received.received} came")
    return received.distinct / seconds
