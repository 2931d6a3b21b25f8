"""Commands in this process, with an environment of their own; and a server that answers what a test says."""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import structlog
from typer.testing import CliRunner

from tests.harness import Running
from tocsin.cli import opening
from tocsin.cli.main import app
from tocsin.settings import defaults

Invoke = Callable[..., "Done"]


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Invoke]:
    """`invoke("why", "evt_1", TOCSIN_TOKEN="…")`: standard output is no terminal, and no setting leaks in."""
    for name in (*defaults(), "TOCSIN_CONFIG", "TOCSIN_URL", "TOCSIN_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TOCSIN_DATA_DIR", str(tmp_path / "data"))
    # Loggers are kept once they are made: they must not keep the standard error of one test for all that follow.
    monkeypatch.setattr(opening, "set_up_logging", lambda settings: None)
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory(), cache_logger_on_first_use=False)

    def run(*words: str, **environment: str) -> Done:
        found = CliRunner().invoke(app, words, env=environment, prog_name="tocsin")
        if found.exception is not None and not isinstance(found.exception, SystemExit):
            raise found.exception
        return Done(found.exit_code, found.stdout, found.stderr)

    yield run
    structlog.reset_defaults()


@dataclass
class Stub:
    """A server of the test's own. `asked` holds (method, path, body)."""

    url: str = ""
    status: int = 200
    answer: Any = None
    asked: list[tuple[str, str, Any]] = field(default_factory=list)


@pytest.fixture
def stub() -> Iterator[Stub]:
    found = Stub()

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            found.asked.append((self.command, self.path, json.loads(body) if body else None))
            content = found.answer if isinstance(found.answer, bytes) else json.dumps(found.answer).encode()
            self.send_response(found.status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = do_PATCH = handle_any  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield found
    server.shutdown()
    server.server_close()
    thread.join()


Command = Callable[..., Awaitable[Done]]


@pytest.fixture
def command(tocsin: Running) -> Command:
    """`await command("why", "e1")`: a command of an admin, which asks a running Tocsin."""

    async def run(*words: str, stdin: bytes = b"", **environment: str) -> Done:
        env = {"TOCSIN_URL": tocsin.client.base, "TOCSIN_TOKEN": tocsin.client.token} | environment
        found = await asyncio.to_thread(CliRunner().invoke, app, words, env=env, input=stdin, prog_name="tocsin")
        if found.exception is not None and not isinstance(found.exception, SystemExit):
            raise found.exception
        return Done(found.exit_code, found.stdout, found.stderr)

    return run
