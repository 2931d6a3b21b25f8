"""HTTP/1.1 as uvicorn speaks it on httptools, within limits that it does not have.

llhttp itself refuses what would be read differently by a proxy in front: two lengths, a length beside chunks, folded
headers, bare line feeds (https://llhttp.org, RFC 9112 section 11.2).
"""

import asyncio
from http import HTTPStatus
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEADER_BYTES = 65_536
"""Of a request, with its first line. What comes in one piece with the rest is bounded by the size of a piece."""

WHOLE_S = 60.0
"""From the first byte of a request, or from the connection, to the end of its body."""


LINGER_S = 1.0


class BadFraming(Exception):
    """A transfer coding that nobody here decodes: where the body ends would be a guess."""


class Protocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.waits_since_s = self.loop.time()  # for the whole of a request; 0: it is here, and no other has begun
        self.header_bytes = 0
        self.refused = False

    def data_received(self, data: bytes) -> None:
        """On the way of every request: what is whole, as nearly all are, costs two comparisons."""
        if self.refused:
            return
        super().data_received(data)
        cycle = self.cycle
        if cycle is None or cycle.scope is not self.scope:
            self.in_headers(len(data))
        elif not cycle.more_body or cycle.response_complete:
            if self.waits_since_s:
                self.waits_since_s = 0.0
                self.header_bytes = 0
        elif not self.waits_since_s:
            self.waits_since_s = self.loop.time()

    def in_headers(self, count: int) -> None:
        if not self.waits_since_s:
            self.waits_since_s = self.loop.time()
        self.header_bytes += count
        if self.header_bytes > MOST_HEADER_BYTES:
            self.refuse(431)

    def on_header(self, name: bytes, value: bytes) -> None:
        """As uvicorn's, without another call on the way: it is asked for every header."""
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        elif name == b"transfer-encoding" and value.lower() != b"chunked":
            raise BadFraming
        self.headers.append((name, value))

    def refuse(self, status: int) -> None:
        """Says so and hears no more; the connection stays for a moment, or what was said would be lost with it."""
        if not self.refused and not self.transport.is_closing():
            self.refused = True
            line = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            self.transport.write(line.encode())
            self.transport.write_eof()
            self.loop.call_later(LINGER_S, self.transport.close)


def cut_slow_ones(connections: set[Any], loop: asyncio.AbstractEventLoop) -> None:
    """Those that have not sent the whole of a request in time."""
    before_s = loop.time() - WHOLE_S
    for connection in list(connections):
        protocol = cast(Protocol, connection)
        if protocol.waits_since_s and protocol.waits_since_s < before_s:
            protocol.refuse(408)
