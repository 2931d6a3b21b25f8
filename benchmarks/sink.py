"""The receiver: answers at once, as cheaply as Python can, and knows what came and when.

    POST /anything      200 ok
    POST /status/503    that status
    POST /slow/200      200 ok after that many milliseconds
    POST /hang          never an answer
    GET  /stats         what came since the last reset, see `Stats`
    GET  /count[/path]  how many requests came to paths that begin so; costs nothing
    GET  /reset         forget

It listens on every loopback address, so that a benchmark can have many hosts (127.0.0.1, 127.0.1.1, …).
The delay of a message is from the time that `load.py` put into its `run_id` (`run-7-at-<ns>`) to its arrival here: both
are CLOCK_MONOTONIC, which all processes of a machine share.
"""

import argparse
import asyncio
import re
import time
from array import array
from typing import cast

import httptools
import msgspec
import uvloop

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
SENT_AT = re.compile(rb'"run_id":\s*"[^"]*-at-(\d+)"')


class Stats(msgspec.Struct, kw_only=True):
    """`received` counts requests, `distinct` different webhook-ids. Delays are in ms, None without any.

    `paths` counts the requests by path. What came to /hang has no delay.
    """

    received: int
    distinct: int
    delay_p50: float | None
    delay_p99: float | None
    delay_max: float | None
    paths: dict[str, int]


class Ledger:
    """What came since the last reset."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.received = 0
        self.arrived: dict[bytes, int] = {}
        self.delays_ns = array("q")
        self.paths: dict[bytes, int] = {}

    def count(self, path: bytes) -> int:
        """Requests to paths that begin with `path`."""
        return sum(count for known, count in self.paths.items() if known.startswith(path))

    def stats(self) -> Stats:
        """Costs a sort: ask when the run is over."""
        delays = sorted(self.delays_ns)
        return Stats(
            received=self.received,
            distinct=len(self.arrived),
            delay_p50=percentile_ms(delays, 0.50),
            delay_p99=percentile_ms(delays, 0.99),
            delay_max=percentile_ms(delays, 1.0),
            paths={path.decode(): count for path, count in self.paths.items()},
        )


def percentile_ms(ordered_ns: list[int], share: float) -> float | None:
    """The value below which `share` of the sorted values lie, in ms; None of nothing."""
    if not ordered_ns:
        return None
    return ordered_ns[min(len(ordered_ns) - 1, int(share * len(ordered_ns)))] / 1e6


class Receiver(asyncio.Protocol):
    """One connection."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.parser = httptools.HttpRequestParser(self)
        self.path = b""
        self.id = b""
        self.body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self.path = url
        self.body = b""

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(name) == 10 and name.lower() == b"webhook-id":
            self.id = value

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        if self.parser.get_method() == b"GET":
            self.tell()
            return
        now_ns = time.monotonic_ns()
        ledger = self.ledger
        ledger.received += 1
        ledger.arrived.setdefault(self.id, now_ns)
        ledger.paths[self.path] = ledger.paths.get(self.path, 0) + 1
        sent = SENT_AT.search(self.body)
        if sent and not self.path.startswith(b"/hang"):
            ledger.delays_ns.append(now_ns - int(sent[1]))
        self.reply()

    def reply(self) -> None:
        """What the path asks for."""
        match self.path.split(b"/"):
            case [_, b"hang", *_]:
                pass
            case [_, b"status", status, *_]:
                self.transport.write(b"HTTP/1.1 %b No\r\ncontent-length: 2\r\n\r\nno" % status)
            case [_, b"slow", delay_ms, *_]:
                asyncio.get_running_loop().call_later(int(delay_ms) / 1000, self.transport.write, OK)
            case _:
                self.transport.write(OK)

    def tell(self) -> None:
        """The answers to GET."""
        if self.path == b"/reset":
            self.ledger.reset()
        if self.path.startswith(b"/count"):
            body = b"%d" % self.ledger.count(self.path.removeprefix(b"/count"))
        else:
            body = msgspec.json.encode(self.ledger.stats())
        self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))


async def serve(port: int) -> None:
    """Run until killed."""
    ledger = Ledger()
    await asyncio.get_running_loop().create_server(lambda: Receiver(ledger), "0.0.0.0", port, backlog=1024)
    await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--port", type=int, required=True)
    uvloop.run(serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
