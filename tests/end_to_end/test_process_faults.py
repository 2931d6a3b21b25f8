"""What happens to a process: no file descriptors left, a key that is another's, settings that are half written."""

import resource
import socket
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from tests.end_to_end.process import Server, Site, wait_for
from tests.end_to_end.receiver import Receiver

OTHER_KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="


def posted(server: Server) -> int:
    try:
        return server.call("POST", "/v1/events", {"type": "load.one"}, timeout_s=3.0)[0]
    except OSError:
        return 0


def test_without_file_descriptors_it_goes_on_when_there_are_some_again(tmp_path: Path, receiver: Receiver) -> None:
    """F41: connections use up what the process may open; it neither ends nor loses anything."""
    with Site(tmp_path / "site") as site:
        server = site.server().start()
        server.add_webhook(receiver.url("/ok/one"), ["load.one"])
        assert posted(server) == 202
        wait_for("the first came", lambda: len(receiver.arrivals()) == 1, 5.0, 0.01)
        most = psutil.Process(server.pid).num_fds() + 12
        before = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (most, before[1]))
        many = []
        for _ in range(80):
            connection = socket.create_connection(("127.0.0.1", server.port), 3.0)
            connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: a\r\n")  # and never the end of it
            many.append(connection)
        wait_for("it has no more", lambda: psutil.Process(server.pid).num_fds() >= most - 1, 5.0, 0.02)
        answers = [posted(server) for _ in range(2)]
        assert server.is_running(), server.log()[-2000:]
        for connection in many:
            connection.close()
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, before)
        healed_s = wait_for("it takes events again", lambda: posted(server) == 202, 10.0)
        sent = answers.count(202) + 2
        wait_for("all came", lambda: len(receiver.arrivals()) >= sent, 10.0)
        assert server.is_running()
        print(f"\nwithout file descriptors: {answers}; heals in {healed_s:.1f} s")


def test_another_key_is_refused_at_the_start(tmp_path: Path, receiver: Receiver) -> None:
    """F45: with it every secret would be unreadable. Nothing is changed, and with the right key all goes on."""
    with Site(tmp_path / "site") as site:
        server = site.server().start()
        server.add_webhook(receiver.url("/ok/one"), ["load.one"])
        server.kill()
        site.environment["TOCSIN_SECRET_KEY"] = OTHER_KEY
        done = site.run("serve", "--port", "0", expect=None)
        assert done.returncode != 0
        assert "key" in done.stderr
        assert "Traceback" not in done.stderr
        del site.environment["TOCSIN_SECRET_KEY"]
        server.start()
        assert posted(server) == 202
        wait_for("it came", lambda: len(receiver.arrivals()) == 1, 5.0, 0.01)


def test_a_half_written_file_of_settings_is_refused(tmp_path: Path) -> None:
    """F45: never with what happened to be readable."""
    file = tmp_path / "tocsin.toml"
    file.write_text('TOCSIN_ALLOW_TARGETS = "10.0.0.0/8, ')
    with Site(tmp_path / "site", with_token=False, settings={"TOCSIN_CONFIG": str(file)}) as site:
        done = site.run("serve", "--port", "0", expect=2)
        assert str(file) in done.stderr or "TOCSIN_" in done.stderr
        assert "Traceback" not in done.stderr
        assert not site.data_dir.exists(), "it began all the same"
