"""A receiver in a process of its own, with a ledger on disk of everything that arrived.

The path says how it behaves: /ok answers at once, /slow/30 after 30 s, /endless with a body that has no end, /flaky/x
refuses every fifth message the first time, /gate holds its answer until the gate is opened, /status/503 says that.
"""

import asyncio
import contextlib
import hashlib
import hmac
import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import cast

import httptools
import msgspec
import uvloop
from standardwebhooks import Webhook, WebhookVerificationError

from tests.end_to_end.process import ROOT, SECRET, wait_for

PIECE = b"x" * 16_384


class Arrival(msgspec.Struct, frozen=True):
    """One request. `body` is its SHA-256, `status` what it was answered; times in nanoseconds of the shared clock."""

    id: str
    path: str
    event: str
    body: str
    signed: bool
    status: int
    at_ns: int


class Receiver:
    """The test's hand on the process."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.ledger = folder / "received.jsonl"
        port_file = folder / "receiver.port"
        command = [sys.executable, "-m", "tests.end_to_end.receiver", str(self.ledger), str(port_file)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE)
        wait_for("the receiver listens", lambda: port_file.exists() and port_file.read_text(), 30.0, 0.01)
        self.port = int(port_file.read_text())

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def arrivals(self) -> list[Arrival]:
        """What came in, in that order. A line that is only half written does not count yet."""
        if not self.ledger.exists():
            return []
        whole, _, _ = self.ledger.read_bytes().rpartition(b"\n")
        return [_arrival.decode(line) for line in whole.splitlines()]

    def gate(self, *, is_open: bool) -> None:
        with urllib.request.urlopen(self.url(f"/control/{'open' if is_open else 'close'}"), b"") as answer:
            answer.read()

    def __enter__(self) -> "Receiver":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.communicate()


_arrival = msgspec.json.Decoder(Arrival)


class Serving:
    """What the connections of the process share."""

    def __init__(self, ledger: Path) -> None:
        self.ledger = os.open(ledger, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self.judge = Webhook(SECRET)
        self.is_open = asyncio.Event()
        self.refused: set[str] = set()

    def note(self, path: str, headers: dict[str, str], body: bytes, status: int, at_ns: int) -> None:
        """Written before it is answered, with one write: whoever is killed next, the line is whole."""
        event = json.loads(body).get("id", "") if body else ""
        digest = hashlib.sha256(body).hexdigest()
        arrival = Arrival(headers.get("webhook-id", ""), path, event, digest, self.signed(headers, body), status, at_ns)
        os.write(self.ledger, msgspec.json.encode(arrival) + b"\n")

    def signed(self, headers: dict[str, str], body: bytes) -> bool:
        """Both signatures, the first judged by the library that others wrote."""
        try:
            self.judge.verify(body, headers)
        except WebhookVerificationError:
            return False
        plain = "sha256=" + hmac.new(SECRET.encode(), body, "sha256").hexdigest()
        return hmac.compare_digest(plain, headers.get("x-exosphere-signature", ""))

    def status(self, path: str, id_: str) -> int:
        _, kind, *rest = path.split("/")
        if kind == "status":
            return int(rest[0])
        if kind == "flaky" and hashlib.sha256(id_.encode()).digest()[0] % 5 == 0 and id_ not in self.refused:
            self.refused.add(id_)
            return 503
        return 200


class Connection(asyncio.Protocol):
    """One connection; requests on it come one after another."""

    def __init__(self, serving: Serving) -> None:
        self.serving = serving
        self.parser = httptools.HttpRequestParser(self)
        self.task: asyncio.Task[None] | None = None
        self.writable = asyncio.Event()
        self.writable.set()
        self.path = ""
        self.headers: dict[str, str] = {}
        self.body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass of it

    def connection_lost(self, exc: Exception | None) -> None:
        if self.task is not None:
            self.task.cancel()

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_message_begin(self) -> None:
        self.path, self.headers, self.body = "", {}, b""

    def on_url(self, url: bytes) -> None:
        self.path += url.decode()

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode().lower()] = value.decode()

    def on_body(self, part: bytes) -> None:
        self.body += part

    def on_message_complete(self) -> None:
        at_ns = time.monotonic_ns()
        if self.path.startswith("/control/"):
            if self.path.endswith("open"):
                self.serving.is_open.set()
            else:
                self.serving.is_open.clear()
            self.answer(200)
            return
        status = self.serving.status(self.path, self.headers.get("webhook-id", ""))
        self.serving.note(self.path, self.headers, self.body, status, at_ns)
        kind = self.path.split("/")[1]
        if kind in ("slow", "gate", "endless"):
            self.task = asyncio.create_task(self.answer_late(kind, status))
        else:
            self.answer(status)

    async def answer_late(self, kind: str, status: int) -> None:
        if kind == "gate":
            await self.serving.is_open.wait()
        elif kind == "slow":
            await asyncio.sleep(float(self.path.split("/")[2]))
        else:
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
            while not self.transport.is_closing():
                await self.writable.wait()
                self.transport.write(PIECE)
                await asyncio.sleep(0)
            return
        self.answer(status)

    def answer(self, status: int) -> None:
        self.transport.write(b"HTTP/1.1 %d OK\r\nContent-Length: 2\r\n\r\nok" % status)


async def serve(ledger: Path, port_file: Path) -> None:
    """Until its standard input ends: however the test ends, the receiver does not outlive it."""
    serving = Serving(ledger)
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), os._exit, 0)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(serving), "127.0.0.1", 0, backlog=2048)
    with contextlib.suppress(asyncio.CancelledError):
        part = port_file.with_suffix(".part")
        part.write_text(str(server.sockets[0].getsockname()[1]))
        part.rename(port_file)
        await server.serve_forever()


def counted(arrivals: list[Arrival]) -> dict[str, list[Arrival]]:
    """By webhook-id, in the order of arrival."""
    found: dict[str, list[Arrival]] = {}
    for arrival in arrivals:
        found.setdefault(arrival.id, []).append(arrival)
    return found


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1]), Path(sys.argv[2])))
