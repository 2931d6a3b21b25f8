"""The first start of a real process: a link on the console, until somebody is there. S31 of the matrix."""

import http.client
import re
from pathlib import Path
from urllib.parse import urlencode

from tests.end_to_end.process import Server, Site, wait_for

PASSWORD = "umbrella-grove-27-tulip"
LINK = re.compile(r"http://127\.0\.0\.1:\d+/setup\?token=([\w-]{43})")


def link_of(server: Server) -> str:
    """What the link carries that this start has shown; it comes right after the server is ready."""
    wait_for("a link on the console", lambda: LINK.search(server.log()), 10)
    (found,) = LINK.findall(server.log())
    return str(found)


def set_up(server: Server, token: str) -> int:
    """The form as a browser sends it; the status of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    form = {"token": token, "email": "ana@example.com", "name": "Ana", "password": PASSWORD, "again": PASSWORD}
    headers = {"content-type": "application/x-www-form-urlencoded", "origin": server.url}
    connection.request("POST", "/setup", urlencode(form), headers)
    status = connection.getresponse().status
    connection.close()
    return status


def test_the_console_shows_a_link_until_somebody_has_used_one(tmp_path: Path) -> None:
    # S31
    with Site(tmp_path, with_token=False) as site:
        server = site.server().start()
        first = link_of(server)
        assert server.url in server.log()
        assert not any(first in line for line in server.log().splitlines() if line.startswith("{")), "not in the log"
        server.stop()
        server.start()
        second = link_of(server)
        assert second != first
        (printed,) = LINK.findall(site.run("setup-link").stdout)
        assert printed not in (first, second)
        assert set_up(server, second) == 303
        assert [set_up(server, used) for used in (first, second, printed)] == [401, 401, 401]
        server.stop()
        assert "setup?token" not in server.start().log()
        assert "set up already" in site.run("setup-link", expect=1).stderr
        assert first.encode() not in (site.data_dir / "tocsin.db").read_bytes()
        reset = site.run("sign-in-link", "Ana@Example.com").stdout.strip()
        assert "/set-password?token=" in reset
        assert "No account" in site.run("sign-in-link", "nobody@example.com", expect=1).stderr
        assert "/set-password?token=" in site.run("sign-in-link", "mia@example.com", "--user", "mia").stdout


def test_who_has_a_token_needs_no_link(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        assert "setup?token" not in site.server().start().log()


def test_other_machines_are_warned_of(tmp_path: Path) -> None:
    # S31: 0.0.0.0 without TLS; and the link is one for this machine
    with Site(tmp_path, settings={"TOCSIN_HOST": "0.0.0.0"}, with_token=False) as site:
        server = site.server().start()
        assert '"event": "open to others without TLS"' in server.log()
        assert link_of(server)
        server.stop()
        site.environment["TOCSIN_PUBLIC_URL"] = "https://tocsin.example/"
        server.start()
        assert "open to others" not in server.log()
        wait_for("a link", lambda: "https://tocsin.example/setup?token=" in server.log(), 10)
