"""The limit: the simplest program with the same durability and the same client as Tocsin.

    POST /v1/events ──▶ decode ──▶ group commit ──▶ 202 ──▶ signed POST to the sink ──▶ result, group commit

No token, no rules, no runs, no trace, no claim, no guard, no pacing: what is left is what nobody can leave out who
promises that a 2xx is on disk, that every delivery is signed and that every attempt can be looked up. Requests that
wait together share one transaction (SQLite `synchronous=FULL`; PostgreSQL as its server is set), and so do results.

    python -m benchmarks.bare_line --store sqlite --dsn /tmp/x/bare.db --port 9001 --sink http://127.0.0.1:9000/x
"""

import argparse
import asyncio
import base64
import hashlib
import hmac
import itertools
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, cast

import aiohttp
import apsw
import asyncpg
import httptools
import msgspec
import uvloop
import yarl

CONCURRENCY = 64
SECRET = b"0123456789abcdef01234567"


class Event(msgspec.Struct, gc=False, omit_defaults=True):
    """A native event, as far as it is read. `data` stays as it came."""

    type: str
    pipeline: str = ""
    run_id: str = ""
    stage: str = ""
    severity: str = "info"
    labels: dict[str, str] = {}
    data: msgspec.Raw = msgspec.Raw(b"{}")
    links: dict[str, str] = {}
    id: int = 0


class Request(Event, gc=False, omit_defaults=True):
    """One event, or several in `events`."""

    type: str = ""
    events: list[Event] = []


Row = tuple[int, int, str]
"""id, received (Unix ms), payload as it is sent."""
Result = tuple[int, int, int, int]
"""id, HTTP status (0: no reply), started (Unix ms), duration in ms."""


class Store(Protocol):
    """Two transactions, each durable when it returns."""

    async def insert(self, rows: list[Row]) -> None:
        """An event row with its payload and a delivery row for each."""

    async def record(self, results: list[Result]) -> None:
        """The delivery's state and an attempt row for each."""


class Sqlite:
    """Statements run here, since they touch memory only; COMMIT waits for the disk and has a thread of its own.

    All of it in the thread, or all of it here, came out the same within the noise of two shared cores (± 15 %).
    """

    TABLES = """
        PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=4000; PRAGMA cache_size=-65536;
        CREATE TABLE event(id INTEGER PRIMARY KEY, received_ms INTEGER, payload TEXT);
        CREATE TABLE delivery(id INTEGER PRIMARY KEY, event_id INTEGER, endpoint TEXT, status TEXT, due_ms INTEGER);
        CREATE TABLE attempt(delivery_id INTEGER, http_status INTEGER, started_ms INTEGER, duration_ms INTEGER);
    """

    def __init__(self, path: str) -> None:
        self.connection = apsw.Connection(path)
        self.connection.execute(self.TABLES).fetchall()
        self.committer = ThreadPoolExecutor(1)
        self.lock = asyncio.Lock()

    async def insert(self, rows: list[Row]) -> None:
        async with self.lock:
            self.connection.execute("BEGIN IMMEDIATE")
            self.connection.executemany("INSERT INTO event VALUES(?,?,?)", rows)
            deliveries = [(row[0], row[0], row[1]) for row in rows]
            self.connection.executemany("INSERT INTO delivery VALUES(?,?,'one','pending',?)", deliveries)
            await self._commit()

    async def record(self, results: list[Result]) -> None:
        async with self.lock:
            self.connection.execute("BEGIN IMMEDIATE")
            states = [("delivered" if status == 200 else "retrying", id_) for id_, status, _, _ in results]
            self.connection.executemany("UPDATE delivery SET status=? WHERE id=?", states)
            self.connection.executemany("INSERT INTO attempt VALUES(?,?,?,?)", results)
            await self._commit()

    async def _commit(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self.committer, self.connection.execute, "COMMIT")


class Postgres:
    """One statement per transaction, so that a group costs one round trip. Two connections: intake and results."""

    TABLES = """
        CREATE TABLE event(id bigint PRIMARY KEY, received_ms bigint, payload text);
        CREATE TABLE delivery(id bigint PRIMARY KEY, event_id bigint, endpoint text, status text, due_ms bigint)
            WITH (fillfactor=50);
        CREATE TABLE attempt(delivery_id bigint, http_status int, started_ms bigint, duration_ms int);
    """
    INSERT = """
        WITH one AS (INSERT INTO event SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[]))
        INSERT INTO delivery SELECT id, id, 'one', 'pending', ms FROM unnest($1::bigint[], $2::bigint[]) AS u(id, ms)
    """
    RECORD = """
        WITH done AS (
            UPDATE delivery SET status = CASE WHEN u.http = 200 THEN 'delivered' ELSE 'retrying' END
            FROM unnest($1::bigint[], $2::int[]) AS u(id, http) WHERE delivery.id = u.id)
        INSERT INTO attempt SELECT * FROM unnest($1::bigint[], $2::int[], $3::bigint[], $4::int[])
    """

    def __init__(self, intake: "asyncpg.Connection[Any]", results: "asyncpg.Connection[Any]") -> None:
        self.intake = intake
        self.results = results

    async def insert(self, rows: list[Row]) -> None:
        await self.intake.execute(self.INSERT, *zip(*rows, strict=True))

    async def record(self, results: list[Result]) -> None:
        await self.results.execute(self.RECORD, *zip(*results, strict=True))


class Line:
    """What goes from station to station: requests that wait for their commit, rows to send, results to record."""

    def __init__(self, store: Store, sink: str) -> None:
        self.store = store
        self.sink = yarl.URL(sink)
        self.ids = itertools.count(1)
        self.requests: list[tuple[Door, list[Event]]] = []
        self.requests_came = asyncio.Event()
        self.rows: deque[Row] = deque()
        self.rows_came = asyncio.Semaphore(0)
        self.results: list[Result] = []
        self.results_came = asyncio.Event()
        self.waiting = 0
        self.delivered = 0

    async def commit(self) -> None:
        """Everything that came while the last group was synced is the next group."""
        while await self.requests_came.wait():
            self.requests_came.clear()
            group, self.requests = self.requests, []
            now_ms = time.time_ns() // 1_000_000
            rows: list[Row] = []
            for _, events in group:
                for event in events:
                    event.id = next(self.ids)
                    rows.append((event.id, now_ms, msgspec.json.encode(event).decode()))
            await self.store.insert(rows)
            self.waiting += len(rows)
            for door, events in group:
                door.answer(b"202 Accepted", msgspec.json.encode({"accepted": len(events), "id": events[0].id}))
            self.rows.extend(rows)
            for _ in rows:
                self.rows_came.release()

    async def send(self, session: aiohttp.ClientSession) -> None:
        """One of CONCURRENCY senders."""
        while await self.rows_came.acquire():
            id_, _, payload = self.rows.popleft()
            body = payload.encode()
            started = time.time_ns()
            headers = signed(id_, started // 1_000_000_000, body)
            try:
                async with session.post(self.sink, data=body, headers=headers, allow_redirects=False) as reply:
                    await reply.read()
                    status = reply.status
            except (OSError, aiohttp.ClientError):
                status = 0
            self.results.append((id_, status, started // 1_000_000, (time.time_ns() - started) // 1_000_000))
            self.results_came.set()

    async def record(self) -> None:
        """Everything that was answered while the last group was synced is the next group."""
        while await self.results_came.wait():
            self.results_came.clear()
            group, self.results = self.results, []
            await self.store.record(group)
            self.waiting -= len(group)
            self.delivered += sum(status == 200 for _, status, _, _ in group)


def signed(id_: int, now_s: int, body: bytes) -> dict[str, str]:
    """The headers of Standard Webhooks."""
    text = f"msg_{id_}.{now_s}.".encode() + body
    signature = base64.b64encode(hmac.digest(SECRET, text, hashlib.sha256)).decode()
    return {
        "content-type": "application/json",
        "webhook-id": f"msg_{id_}",
        "webhook-timestamp": str(now_s),
        "webhook-signature": f"v1,{signature}",
    }


class Door(asyncio.Protocol):
    """The HTTP server: POST is an event or a batch, GET is how far the line is, in the words of Tocsin's /metrics."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.decoder = msgspec.json.Decoder(Request)
        self.parser = httptools.HttpRequestParser(self)
        self.body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        body, self.body = self.body, b""
        if self.parser.get_method() == b"GET":
            self.answer(b"200 OK", metrics(self.line.waiting, self.line.delivered))
            return
        request = self.decoder.decode(body)
        self.line.requests.append((self, request.events or [request]))
        self.line.requests_came.set()

    def answer(self, status: bytes, body: bytes) -> None:
        self.transport.write(b"HTTP/1.1 %b\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body))


def metrics(waiting: int, delivered: int) -> bytes:
    """The two figures that the benchmarks wait for."""
    text = f'tocsin_deliveries_waiting {waiting}\ntocsin_deliveries_total{{status="delivered"}} {delivered}\n'
    return text.encode()


async def serve(store: str, dsn: str, port: int, sink: str) -> None:
    """Run until killed."""
    if store == "sqlite":
        line = Line(Sqlite(dsn), sink)
    else:
        intake, results = await asyncpg.connect(dsn), await asyncpg.connect(dsn)
        await intake.execute(Postgres.TABLES)
        line = Line(Postgres(intake, results), sink)
    connector = aiohttp.TCPConnector(limit=CONCURRENCY)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:
        await asyncio.get_running_loop().create_server(lambda: Door(line), "127.0.0.1", port)
        await asyncio.gather(line.commit(), line.record(), *(line.send(session) for _ in range(CONCURRENCY)))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--store", choices=["sqlite", "postgres"], required=True)
    parser.add_argument("--dsn", required=True, help="a file for SQLite, an address for PostgreSQL; empty before")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--sink", required=True)
    asked = parser.parse_args()
    uvloop.run(serve(asked.store, asked.dsn, asked.port, asked.sink))


if __name__ == "__main__":
    main()
