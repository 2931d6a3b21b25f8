"""What a supervisor and a load balancer see of a start and a stop."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.process import Site, wait_for
from tests.end_to_end.receiver import Receiver
from tests.end_to_end.test_shutdown import post, statuses


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    with Receiver(tmp_path / "receiver") as receiver:
        yield receiver


def test_readiness_goes_first_and_the_supervisor_is_told(tmp_path: Path, receiver: Receiver) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as inbox:
        inbox.bind(str(tmp_path / "notify"))
        inbox.settimeout(10.0)
        supervised = {
            "NOTIFY_SOCKET": str(tmp_path / "notify"),
            "WATCHDOG_USEC": "200000",
            "TOCSIN_STOP_DELAY_SECONDS": "0.8",
        }
        with Site(tmp_path / "site", settings=supervised) as site:
            server = site.server()
            server.launch()
            assert inbox.recv(100) == b"READY=1"
            assert server.is_ready(), "it said READY=1 before it was"
            began = time.monotonic()
            assert [inbox.recv(100) for _ in range(3)] == [b"WATCHDOG=1"] * 3
            assert time.monotonic() - began < 5.0
            server.signal(signal.SIGSTOP)  # a loop that hangs is silent
            inbox.setblocking(False)
            with pytest.raises(BlockingIOError):
                while True:
                    inbox.recv(100)
            inbox.setblocking(True)
            inbox.settimeout(0.4)
            with pytest.raises(TimeoutError):
                inbox.recv(100)
            server.signal(signal.SIGCONT)
            server.add_webhook(receiver.url("/slow/0.5"), ["load.one"])
            post(server, 5)
            wait_for("five are on their way", lambda: len(receiver.arrivals()) == 5, 5.0, 0.01)
            os.kill(server.pid, signal.SIGTERM)
            wait_for("readiness goes", lambda: not server.is_ready(), 0.7, 0.01)
            status, _, answer = server.call("GET", "/readyz")
            assert (status, answer["status"]) == (503, "stopping")
            assert server.call("GET", "/healthz")[0] == 200
            post(server, 1, "load.one")  # whoever does not know yet is still served
            assert server.process is not None
            assert server.process.wait(15) == 0
            assert statuses(site) == {"delivered": 5, "pending": 1}
            said = []
            while True:
                try:
                    said.append(inbox.recv(100))
                except TimeoutError:
                    break
            assert b"STOPPING=1" in said
