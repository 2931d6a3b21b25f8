"""What a supervisor and a load balancer see of a start and a stop."""

import http.client
import json
import os
import signal
import socket
import time
from pathlib import Path

import pytest

from tests.end_to_end.process import Site, steady_port, wait_for
from tests.end_to_end.receiver import Receiver
from tests.end_to_end.test_shutdown import post, statuses


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


def get(port: int, path: str, **headers: str) -> tuple[int, dict[str, str], str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        reply = connection.getresponse()
        return reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read().decode()
    finally:
        connection.close()


def test_a_request_can_be_followed_by_its_id(tmp_path: Path) -> None:
    port = steady_port()
    with Site(tmp_path, settings={"TOCSIN_ACCESS_LOG": "true", "TOCSIN_METRICS_PORT": str(port)}) as site:
        server = site.server().start()
        status, headers, body = get(server.port, "/v1/events/secret-path?secret=1", X_Request_Id="trace/4711")
        assert (status, headers["x-request-id"], json.loads(body)["request_id"]) == (401, "trace/4711", "trace/4711")
        for bad in ("a b", "x" * 101, 'evil";x'):
            _, headers, _ = get(server.port, "/healthz", X_Request_Id=bad)
            assert headers["x-request-id"].startswith("req_")
        assert server.call("POST", "/v1/events", {"type": "x"})[1]["x-request-id"].startswith("req_")
        assert 'route="GET /v1/events/{id}",status="401"' in get(port, "/metrics")[2]
        assert get(port, "/readyz")[0] == 200
        assert get(port, "/v1/events")[0] == 404, "only probes are there"
        assert server.stop() == 0
        lines = [json.loads(line) for line in server.log().splitlines()]
        (line,) = [line for line in lines if line.get("request_id") == "trace/4711"]
        assert (line["event"], line["route"], line["status"]) == ("web.request", "GET /v1/events/{id}", 401)
        assert "secret" not in server.log()
        assert [line["route"] for line in lines if line["event"] == "web.request"][-1]
