"""The load: one process, keep-alive connections, HTTP/1.1 written by hand.

    closed   every connection sends the next request when its last one is answered: how fast can it go?
    rate     requests leave at fixed times whether answers come or not (open loop). Each delay counts from the time at
             which its request was due, so that a server that stalls cannot hide it (no coordinated omission).

    python -m benchmarks.load '{"url":"http://127.0.0.1:8000/v1/events","token":"…","events":10000,"batch":100}'

Prints one JSON object, see `Outcome`. A 429 or 503 is not an error: the same request is sent again after 20 ms.
"""

import argparse
import asyncio
import contextlib
import sys
import time
from collections import Counter, deque
from typing import cast
from urllib.parse import urlsplit

import msgspec
import uvloop

from benchmarks.sink import percentile_ms

TICK_S = 0.001
PAUSE_S = 0.02
BUSY = (429, 503)
SILENCE_S = 30.0
"""Without any answer for so long, the rest is given up."""

# The time of sending is part of run_id, since not every message repeats the event's data.
EVENT = (
    '{"type":"%(type)s","source":"bench","pipeline":"%(pipeline)s","run_id":"run-%(number)d-at-%(sent_ns)d","stage":"load",'
    '"severity":"error","labels":{"env":"prod","team":"data-platform","region":"eu-west-1"},'
    '"data":{"rows":182334,"expected_rows":200000,"table":"warehouse.orders_daily","duration_s":412.7,"attempt":2,'
    '"host":"worker-17.eu-west-1.example.com","error":"psycopg.errors.UniqueViolation: duplicate key value violates '
    'unique constraint orders_pkey","owner":"data-platform"},'
    '"links":{"run":"https://airflow.example.com/dags/orders/runs/%(number)d","logs":"https://logs.example.com/r/%(number)d"}}'
)


class Outcome(msgspec.Struct, kw_only=True):
    """`accepted` events in `seconds` from `started_ns` (CLOCK_MONOTONIC) on. Delays of the answers are in ms.

    `refused` counts the 429 and 503 (all were repeated), `errors` what else went wrong, by status or reason; `cpu_s` is
    the load's own.
    """

    accepted: int
    started_ns: int
    seconds: float
    per_s: float
    delay_p50: float | None
    delay_p99: float | None
    delay_max: float | None
    refused: int
    errors: dict[str, int]
    cpu_s: float


class Plan(msgspec.Struct, kw_only=True):
    """What to send. `pipelines` and `types` are taken in turn. `rate` is in events/s; 0 is the closed loop.

    `first` is the number of the first run, so that two loads on one database are different runs.
    """

    url: str
    token: str = ""
    events: int = 1000
    batch: int = 1
    rate: float = 0.0
    connections: int = 64
    types: tuple[str, ...] = ("run.failed",)
    pipelines: tuple[str, ...] = ("etl/orders",)
    first: int = 1


def body_of(plan: Plan, index: int, sent_ns: int) -> bytes:
    """The body of request `index`: one event, or a batch."""
    start = plan.first + index * plan.batch
    events = [
        EVENT
        % {
            "type": plan.types[number % len(plan.types)],
            "pipeline": plan.pipelines[number % len(plan.pipelines)],
            "number": number,
            "sent_ns": sent_ns,
        }
        for number in range(start, start + plan.batch)
    ]
    text = events[0] if plan.batch == 1 else '{"events":[' + ",".join(events) + "]}"
    return text.encode()


class Connection(asyncio.Protocol):
    """One request at a time. Reads as much of HTTP as the servers here write: a status and a content-length."""

    def __init__(self, load: "Load") -> None:
        self.load = load
        self.data = b""
        self.index = -1
        self.due_ns = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def send(self, index: int, due_ns: int) -> None:
        """Send request `index`; its delay counts from `due_ns`."""
        self.index, self.due_ns = index, due_ns
        body = body_of(self.load.plan, index, due_ns)
        self.transport.write(self.load.head + b"%d\r\n\r\n%b" % (len(body), body))

    def data_received(self, data: bytes) -> None:
        self.data += data
        head_end = self.data.find(b"\r\n\r\n")
        if head_end < 0:
            return
        head = self.data[:head_end].lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r", 1)[0]) if at >= 0 else 0
        if len(self.data) < head_end + 4 + length:
            return
        self.data = b""
        self.load.answered(self, int(head[9:12]))

    def connection_lost(self, exc: Exception | None) -> None:
        self.load.lost(self)


class Load:
    """Hands requests to connections and counts the answers."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        to = urlsplit(plan.url)
        self.host, self.port = to.hostname or "127.0.0.1", to.port or 80
        self.head = (
            f"POST {to.path} HTTP/1.1\r\nHost: {to.netloc}\r\nAuthorization: Bearer {plan.token}\r\n"
            "Content-Type: application/json\r\nContent-Length: "
        ).encode()
        self.requests = -(-plan.events // plan.batch)
        self.next = 0
        self.done = 0
        self.delays_ns: list[int] = []
        self.refused = 0
        self.errors: Counter[str] = Counter()
        self.idle: deque[Connection] = deque()
        self.overdue: deque[int] = deque()
        self.all_done = asyncio.Event()

    async def run(self) -> Outcome:
        """Send everything, wait for every answer."""
        loop = asyncio.get_running_loop()
        for _ in range(self.plan.connections):
            _, connection = await loop.create_connection(lambda: Connection(self), self.host, self.port)
            self.idle.append(connection)
        cpu, start = time.process_time(), time.monotonic_ns()
        if self.plan.rate:
            await self._at_rate(start)
        else:
            while self.idle and self.next < self.requests:
                self._next(self.idle.popleft(), time.monotonic_ns())
        before = -1
        while not self.all_done.is_set() and self.done > before:
            before = self.done
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.all_done.wait(), SILENCE_S)
        if self.done < self.requests:
            self.errors["no answer"] = self.requests - self.done
        return self._outcome(start, time.monotonic_ns(), time.process_time() - cpu)

    async def _at_rate(self, start_ns: int) -> None:
        gap_ns = 1e9 * self.plan.batch / self.plan.rate
        for index in range(self.requests):
            due_ns = start_ns + int(index * gap_ns)
            while (wait_ns := due_ns - time.monotonic_ns()) > 0:
                await asyncio.sleep(max(wait_ns / 1e9, TICK_S))
            self.overdue.append(due_ns)
            while self.idle and self.overdue:
                self._next(self.idle.popleft(), self.overdue.popleft())

    def _next(self, connection: Connection, due_ns: int) -> None:
        self.next += 1
        connection.send(self.next - 1, due_ns)

    def answered(self, connection: Connection, status: int) -> None:
        """One answer. The connection takes the next request, if there is one to send now."""
        now_ns = time.monotonic_ns()
        if status in BUSY:
            self.refused += 1
            asyncio.get_running_loop().call_later(PAUSE_S, connection.send, connection.index, connection.due_ns)
            return
        self.done += 1
        if 200 <= status < 300:
            self.delays_ns.append(now_ns - connection.due_ns)
        else:
            self.errors[str(status)] += 1
        if self.plan.rate and self.overdue:
            self._next(connection, self.overdue.popleft())
        elif not self.plan.rate and self.next < self.requests:
            self._next(connection, now_ns)
        else:
            connection.index = -1
            self.idle.append(connection)
        if self.done == self.requests:
            self.all_done.set()

    def lost(self, connection: Connection) -> None:
        """The server hung up. A request that was under way counts as an error; the connection is not replaced."""
        if connection.index >= 0:
            self.errors["connection lost"] += 1
            self.done += 1
        if connection in self.idle:
            self.idle.remove(connection)
        if self.done == self.requests:
            self.all_done.set()

    def _outcome(self, started_ns: int, ended_ns: int, cpu_s: float) -> Outcome:
        seconds = (ended_ns - started_ns) / 1e9
        accepted = len(self.delays_ns) * self.plan.batch
        delays = sorted(self.delays_ns)
        return Outcome(
            accepted=accepted,
            started_ns=started_ns,
            seconds=seconds,
            per_s=accepted / seconds,
            delay_p50=percentile_ms(delays, 0.50),
            delay_p99=percentile_ms(delays, 0.99),
            delay_max=percentile_ms(delays, 1.0),
            refused=self.refused,
            errors=dict(self.errors),
            cpu_s=cpu_s,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "plan", help='JSON, see `Plan`: {"url":"http://127.0.0.1:8000/v1/events","token":"…","events":1000}'
    )
    plan = msgspec.json.decode(parser.parse_args().plan, type=Plan)
    outcome = uvloop.run(Load(plan).run())
    sys.stdout.buffer.write(msgspec.json.encode(outcome) + b"\n")


if __name__ == "__main__":
    main()
