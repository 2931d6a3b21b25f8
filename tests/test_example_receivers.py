"""The example receivers of examples/receivers, each in its own language: they take what Tocsin sends, and nothing else.

Python's and Node's are quick and run always, Node's where there is a Node; the others are proofs, which install
Debian's package where it is missing and they may.
"""

import base64
import hmac
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.harness import Start
from tocsin.provider_kit.signing import TOLERANCE_S, sign

pytestmark = pytest.mark.anyio

FOLDER = Path(__file__).parents[1] / "examples/receivers"
SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
OTHER = "whsec_" + base64.b64encode(b"fedcba9876543210fedcba9876543210").decode()
BODY = '{"schema":"tocsin.event/1","title":"Größe & <b>\\u2028","kind":"run.failed"}'.encode()
PATIENCE_S = 60.0
"""Go and Java compile first."""


class Language(NamedTuple):
    file: str
    tool: str
    package: str  # Debian's


LANGUAGES = {
    "python": Language("receiver.py", sys.executable, "python3"),
    "javascript": Language("receiver.mjs", "node", "nodejs"),
    "go": Language("receiver.go", "go", "golang-go"),
    "java": Language("Receiver.java", "java", "default-jdk-headless"),
    "php": Language("receiver.php", "php", "php-cli"),
    "ruby": Language("receiver.rb", "ruby", "ruby"),
}
QUICK = {"python", "javascript"} if shutil.which("node") else {"python"}


@pytest.fixture(params=[pytest.param(one, marks=() if one in QUICK else pytest.mark.proof) for one in LANGUAGES])
def language(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    tool, package = LANGUAGES[found].tool, LANGUAGES[found].package
    if shutil.which(tool) is None and os.geteuid() == 0 and shutil.which("apt-get"):
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        for arguments in (["update", "-q"], ["install", "-y", "-q", "--no-install-recommends", package]):
            subprocess.run(["apt-get", *arguments], env=environment, stdout=sys.stderr, timeout=300, check=True)
    assert shutil.which(tool), f"no {tool}: install it (Debian: apt-get install {package})"
    return found


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def command(language: str) -> list[str]:
    """The line that the receiver's own comment gives, in a shell as it stands there."""
    file, tool, _ = LANGUAGES[language]
    text = (FOLDER / language / file).read_text("utf-8")
    (line,) = (line.lstrip("/#* \t") for line in text.splitlines() if "TOCSIN_WEBHOOK_SECRET=whsec_…" in line)
    given = line.split()
    meant = [word for word in given if not word.startswith(("TOCSIN_WEBHOOK_SECRET=", "PORT="))]
    meant[0] = {"python3": tool}.get(meant[0], meant[0])
    return ["sh", "-c", "exec " + " ".join(shlex.quote(word) if "$" not in word else word for word in meant)]


@contextmanager
def receiver(language: str, secret: str, log: Path, port: int = 0) -> Iterator[int]:
    """Its port, once it listens."""
    port = port or free_port()
    environment = os.environ | {"TOCSIN_WEBHOOK_SECRET": secret, "PORT": str(port)}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command(language), cwd=FOLDER / language, env=environment, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
    try:
        until = time.monotonic() + PATIENCE_S
        while process.poll() is None:
            with socket.socket() as knocking:
                knocking.bind(("127.0.0.2", 0))  # from 127.0.0.1 it might, by chance, come to itself
                if knocking.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert time.monotonic() < until, f"it does not listen: {log.read_text('utf-8')}"
            time.sleep(0.02)
        yield port
    finally:
        with suppress(ProcessLookupError):  # it ended by itself
            os.killpg(process.pid, signal.SIGKILL)  # and not the process alone: `go run` has a child
        process.wait()


def headers(*secrets: str, body: bytes = BODY, ago_s: float = 0) -> dict[str, str]:
    at_s = int(time.time() - ago_s)
    return {
        "content-type": "application/json",
        "webhook-id": "dlv_1",
        "webhook-timestamp": str(at_s),
        "webhook-signature": sign(secrets, "dlv_1", at_s, body),
    }


def status(port: int, given: dict[str, str], body: bytes = BODY) -> int:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", "/hooks/tocsin", body, given)
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
async def test_a_receiver_takes_what_tocsin_sends_and_nothing_else(language: str, start: Start, tmp_path: Path) -> None:
    # S4-17
    log = tmp_path / "log"
    with receiver(language, SECRET, log) as port:
        # A real Tocsin, before and while the secret is rotated; then with one that the receiver does not know.
        tocsin = await start(TOCSIN_ALLOW_TARGETS=f"127.0.0.1:{port}")
        settings = {"include": ["message"]}
        webhook = await tocsin.webhook(
            f"http://127.0.0.1:{port}/", secret=SECRET, enabled_events=["*"], settings=settings
        )
        sent = {"title": "Größe & <b>\u2028", "message": "\x1b[31m" + "é" * 16_000}
        for id_ in ("first", "rotating", "rotated"):
            if id_ == "rotating":
                await tocsin.client.post(f"/v1/webhooks/{webhook['id']}/rotate-secret", {"overlap_s": 60})
            if id_ == "rotated":
                await tocsin.move(60)
            await tocsin.send(None, id=id_, **sent)
            await tocsin.settle()
        said = {one["event_id"]: (one["status"], one["http_status_code"]) for one in await tocsin.deliveries()}
        assert said == {"first": ("delivered", 204), "rotating": ("delivered", 204), "rotated": ("retrying", 401)}

        # What somebody else may send.
        assert status(port, headers(SECRET)) == 204
        assert status(port, headers(OTHER, SECRET)) == 204
        assert status(port, headers(SECRET, OTHER)) == 204
        assert status(port, headers(SECRET, ago_s=TOLERANCE_S - 20)) == 204
        assert status(port, headers(OTHER)) == 401
        assert status(port, headers(SECRET), BODY.replace(b"failed", b"passed")) == 401
        assert status(port, headers(SECRET), BODY[:-1]) == 401
        assert status(port, headers(SECRET), b"") == 401
        assert status(port, headers(SECRET, ago_s=TOLERANCE_S + 20)) == 401
        assert status(port, headers(SECRET, ago_s=-TOLERANCE_S - 20)) == 401
        assert status(port, headers(SECRET) | {"webhook-id": "dlv_2"}) == 401
        assert status(port, headers(SECRET) | {"webhook-timestamp": str(int(time.time()) - 1)}) == 401
        for name in ("webhook-id", "webhook-timestamp", "webhook-signature"):
            for nonsense in ("", "x", "NaN", "-1", "9" * 40, "9" * 5000, "v1,", "v1a,AAAA", "\xe9" * 50):
                assert status(port, headers(SECRET) | {name: nonsense}) == 401, (name, nonsense)
            assert status(port, {key: value for key, value in headers(SECRET).items() if key != name}) == 401
        assert status(port, headers(SECRET)) == 204  # and is still there


async def test_a_receiver_without_a_secret_takes_nothing(language: str, tmp_path: Path) -> None:
    """The empty secret would be everybody's."""
    with receiver(language, "whsec_", tmp_path / "log") as port:
        at_s = int(time.time())
        everybodys = "v1," + base64.b64encode(hmac.digest(b"", f"dlv_1.{at_s}.".encode() + BODY, "sha256")).decode()
        given = headers(SECRET) | {"webhook-timestamp": str(at_s), "webhook-signature": everybodys}
        try:
            assert status(port, given) == 500
        except ConnectionRefusedError:
            assert "TOCSIN_WEBHOOK_SECRET" in (tmp_path / "log").read_text("utf-8")


def test_every_receiver_is_tested() -> None:
    assert {str(file.relative_to(FOLDER)) for file in FOLDER.rglob("*.*")} == {
        f"{language}/{found.file}" for language, found in LANGUAGES.items()
    }
