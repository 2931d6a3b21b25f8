"""Clients of `tocsin_client`, each with a folder of its own; and a server that answers what a test says."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tocsin_client import Tocsin

Answering = Callable[[list[dict[str, Any]]], tuple[int, dict[str, str], bytes]]
NewClient = Callable[..., Tocsin]


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("TOCSIN_URL", "TOCSIN_TOKEN", "TOCSIN_PIPELINE", "TOCSIN_RUN_ID", "TOCSIN_SPOOL_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def client(tmp_path: Path) -> Iterator[NewClient]:
    """`client(url)`; closed at the end."""
    made: list[Tocsin] = []

    def make(url: str, token: str = "", **settings: Any) -> Tocsin:
        made.append(Tocsin(url, token, **({"spool_dir": tmp_path / "spool"} | settings)))
        return made[-1]

    yield make
    for one in made:
        one.courier.closed = True
        one.courier.wake.set()


def taken(events: list[dict[str, Any]]) -> tuple[int, dict[str, str], bytes]:
    ids = [event["id"] for event in events]
    return 202, {}, json.dumps({"accepted": len(ids), "duplicates": 0, "ids": ids}).encode()


@dataclass
class FakeServer:
    """Answers as `script` says, one request each, then as `standard` says."""

    url: str = ""
    standard: Answering = taken
    script: list[Answering] = field(default_factory=list)
    requests: list[list[dict[str, Any]]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    connections: set[Any] = field(default_factory=set)
    open: threading.Event = field(default_factory=threading.Event)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [event for request in self.requests for event in request]


@pytest.fixture
def server() -> Iterator[FakeServer]:
    found = FakeServer()
    found.open.set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            found.connections.add(self.client_address)
            found.headers.append({name.lower(): value for name, value in self.headers.items()})
            answering = found.script.pop(0) if found.script else found.standard
            status, headers, content = answering(body["events"])
            found.open.wait(10)
            if status == 202:
                found.requests.append(body["events"])
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Says nothing."""

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that went away is none."""

    serving = Quiet(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{serving.server_port}"
    thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield found
    found.open.set()
    serving.shutdown()
    serving.server_close()
    thread.join()
