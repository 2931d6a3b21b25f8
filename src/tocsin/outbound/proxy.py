"""TOCSIN_EGRESS_PROXY: the way out where there is no other. Every request is asked of it by host name.

What is vetted here is vetted all the same: the literal address, and every address that the name has as far as names can
be looked up here. Which address the proxy dials is the proxy's to decide: it has to refuse private ones as well.
"""

import asyncio
import base64
import re
import socket
from collections.abc import Sequence
from urllib.parse import quote, unquote

from yarl import URL

from tocsin.model.errors import Invalid
from tocsin.model.hidden import Hidden
from tocsin.outbound.address_guard import Allowed, is_reachable, is_this_machine, localhost_addresses, vet

MAX_HEAD = 8192
"""Bytes of a proxy's answer to CONNECT."""
CONNECT_S = 5.0
_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})\b")


class Proxy(Hidden, frozen=True):
    """`authorization` is the value of Proxy-Authorization, "" for none."""

    host: str
    port: int
    authorization: str = ""

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        return (("Proxy-Authorization", self.authorization),) if self.authorization else ()

    @property
    def url_with_login(self) -> str:
        if not self.authorization:
            return self.url
        user, _, password = base64.b64decode(self.authorization.removeprefix("Basic ")).decode().partition(":")
        return f"http://{quote(user, safe='')}:{quote(password, safe='')}@" + self.url.removeprefix("http://")

    @property
    def url(self) -> str:
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"


class Refused(OSError):
    """The proxy would not connect us. Its status is shown, its words are not."""

    def __init__(self, status: int) -> None:
        super().__init__(said(status))


def parse_proxy(text: str) -> Proxy | None:
    """`http://[user:password@]host:port`; "" is none. Raises Invalid, which repeats nothing of it."""
    if not text:
        return None
    try:
        url = URL(text)
        plain = url.scheme == "http" and bool(url.host) and url.explicit_port and url.path in ("", "/")
    except ValueError:
        plain = False
    if not plain or url.query_string or url.fragment:
        raise Invalid("TOCSIN_EGRESS_PROXY", "something else", "http://host:port or http://user:password@host:port")
    login = f"{unquote(url.raw_user or '')}:{unquote(url.raw_password or '')}"
    authorization = "Basic " + base64.b64encode(login.encode()).decode() if url.raw_user else ""
    return Proxy(str(url.host), int(url.explicit_port or 0), authorization)


def said(status: int) -> str:
    """What a proxy's refusal to connect means."""
    if status == 407:
        return "the egress proxy refused the login: look at TOCSIN_EGRESS_PROXY"
    return f"the egress proxy did not connect: it answered {status}"


def may_ask_for(host: str, port: int, found: Sequence[str], allow: Allowed) -> bool:
    """Whether the proxy may be asked for a host that has these addresses here; none where only the proxy knows them."""
    if is_this_machine(host):
        found = localhost_addresses(port, allow) or ("127.0.0.1",)
    return all(vet(address, port, allow) for address in found) and is_reachable(host, found, port, allow)


async def tunnel(proxy: Proxy, host: str, port: int) -> socket.socket:
    """A connection through the proxy to this host. Raises OSError; `Refused` where the proxy says no."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(CONNECT_S):
        places = await loop.getaddrinfo(proxy.host, proxy.port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = places[0]
        opened = socket.socket(family, kind, protocol)
        opened.setblocking(False)
        try:
            await loop.sock_connect(opened, address)
            await loop.sock_sendall(opened, connect_request(proxy, host, port))
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                byte = await loop.sock_recv(opened, 1)  # one by one: what follows belongs to the server
                if not byte or len(head) >= MAX_HEAD:
                    raise ConnectionResetError
                head += byte
            check(head)
        except BaseException:
            opened.close()
            raise
    return opened


def connect_request(proxy: Proxy, host: str, port: int) -> bytes:
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    login = f"Proxy-Authorization: {proxy.authorization}\r\n" if proxy.authorization else ""
    return f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n{login}\r\n".encode("ascii")


def check(head: bytes) -> None:
    """Raises Refused for any answer to CONNECT but a 2xx."""
    status = _STATUS.match(head)
    if status is None:
        raise ConnectionResetError
    if not 200 <= int(status[1]) < 300:
        raise Refused(int(status[1]))
