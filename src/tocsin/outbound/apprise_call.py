"""One message on its way through Apprise: where it may connect, how long it may take, what came of it.

Apprise blocks, and tells no more than yes or no. So each call notes for itself what its requests met; and when its time
is up its connections are shut, which wakes the thread that reads from them.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any
from urllib.parse import urlsplit

from tocsin.model.wire import NoReply, NoReplyReason
from tocsin.outbound.address_guard import Allowed, check_url, is_reachable, is_this_machine, localhost_addresses, vet
from tocsin.outbound.proxy import Proxy, may_ask_for

MAX_ADDRESSES = 8
"""Answers of one name that are dialled; all are vetted."""
CONNECT_S = 5.0
PACE_S = 0.5
"""Between the requests of one message. Apprise itself would pause for up to 5.5 s, and hold a thread for it."""
MAX_LOG = 50
"""Lines of what Apprise says that are kept."""

Resolve = Callable[[str, int], Sequence[str]]
"""(host, port) to every address the name has, now; raises OSError where it has none."""

current: "ContextVar[Call | None]" = ContextVar("apprise_call", default=None)
"""The call that this thread works for. Without one nothing is dialled."""


class Aborted(BaseException):
    """The call's time is up. Not an Exception, so that no plugin catches it and goes on."""


class Blocked(OSError):
    """The address guard refused an address."""


class Call:
    """`ends_s` is on the clock of time.monotonic; `bundle` a file of the CAs to trust, "" for the usual.
    `by_proxy`: the request under way goes through the proxy. `abort` and `close` may come from another thread."""

    def __init__(
        self,
        ends_s: float,
        allow: Allowed,
        connect_to: Mapping[str, str],
        resolve: Resolve | None = None,
        *,
        proxy: Proxy | None = None,
        bundle: str = "",
    ) -> None:
        self._ends_s = ends_s
        self.proxy = proxy
        self.bundle = bundle
        self._allow = allow
        self._connect_to = connect_to
        self._resolve = resolve or _getaddrinfo
        self._diverted: set[tuple[str, int]] = set()
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._paced = False
        self.connected = False
        self.by_proxy = False
        self.status = 0
        self.retry_after = ""
        self.failure: NoReply | None = None
        self.log: list[str] = []

    def left_s(self) -> float:
        """Seconds that are left; raises Aborted where there are none."""
        left = self._ends_s - time.monotonic()
        if left <= 0 or self._over.is_set():
            raise Aborted
        return left

    def abort(self) -> None:
        """Ends what goes on: connections are shut, no new ones are made."""
        self._over.set()
        with self._lock:
            for one in self._sockets:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Lets go of the connections; whoever made them closes them."""
        self._over.set()
        with self._lock:
            for one in self._sockets:
                one.close()
            self._sockets.clear()

    def route(self, url: str) -> tuple[str, str]:
        """(the URL to ask, the Host to name where that is another). Raises Invalid for what must not be asked."""
        parts = urlsplit(url)
        place = parts.netloc.rpartition("@")[2]
        parsed = check_url(f"{parts.scheme}://{place}/", self._allow)
        base = self._connect_to.get(parsed.host)
        self.by_proxy = base is None and self.proxy is not None
        if self.by_proxy and self.proxy is not None:
            self._ask_for(parsed.host, parsed.port)
            self._diverted.add((self.proxy.host, self.proxy.port))
        if base is None:
            return url, ""
        to = urlsplit(base)
        self._diverted.add((to.hostname or "", to.port or (443 if to.scheme == "https" else 80)))
        return base + (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), place

    def _ask_for(self, host: str, port: int) -> None:
        """Raises Blocked where the proxy must not be asked for this host."""
        try:
            found = () if is_this_machine(host) else self._resolve(host, port)
        except OSError:
            found = ()  # a name that only the proxy can look up
        if not may_ask_for(host, port, found, self._allow):
            self.failed("blocked", "the address guard refused the target")
            raise Blocked

    def connect(self, host: str, port: int, timeout_s: float | None, options: Iterable[Any] = ()) -> socket.socket:
        """A connection to an address that was vetted right before, one of all that the name has."""
        error: OSError | None = None
        for address in self._addresses(host, port):
            opened = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
            try:
                for option in options:
                    opened.setsockopt(*option)
                opened.settimeout(min(timeout_s or CONNECT_S, CONNECT_S, self.left_s()))
                opened.connect((address, port))
                self._watch(opened)
                opened.settimeout(min(timeout_s or CONNECT_S, self.left_s()))
            except OSError as failed:
                opened.close()
                error = failed
            except Aborted:
                opened.close()
                raise
            else:
                self.connected = True
                return opened
        if isinstance(error, TimeoutError):
            self.failed("timeout", "no connection in time")
        else:
            self.failed("refused", "the connection was refused")
        raise error or OSError("no address")

    def _addresses(self, host: str, port: int) -> Sequence[str]:
        local = is_this_machine(host)
        diverted = (host, port) in self._diverted
        try:
            found = localhost_addresses(port, self._allow) if local and not diverted else self._resolve(host, port)
        except OSError:
            self.failed("dns", "the host name has no address")
            raise
        # One bad answer spoils all: whoever mixes them in waits for us to take the wrong one.
        may = diverted or (
            all(vet(address, port, self._allow) for address in found) and is_reachable(host, found, port, self._allow)
        )
        if not found or not may:
            self.failed("blocked", "the address guard refused the target")
            raise Blocked
        return found[:MAX_ADDRESSES]

    def _watch(self, opened: socket.socket) -> None:
        """Keeps a second handle on the connection: TLS takes the first one away."""
        with self._lock:
            if self._over.is_set():
                raise Aborted
            self._sockets.append(opened.dup())

    def throttle(self, last_io: object = None, wait: float | None = None) -> None:
        """In place of a plugin's own pauses, which know of no deadline. `wait` is what the service asked for."""
        pause = wait if wait is not None else PACE_S if self._paced else 0.0
        self._paced = True
        if pause > 0 and (pause >= self.left_s() or self._over.wait(pause)):
            raise Aborted

    def failed(self, reason: NoReplyReason, detail: str) -> None:
        """The request under way came to nothing. What was blocked stays blocked, whatever is tried after it."""
        if self.failure is None or self.failure.reason != "blocked":
            self.failure = NoReply(reason, detail, maybe_received=self.connected)

    def began(self) -> None:
        """Another request is made: it may fare better."""
        if self.failure and self.failure.reason != "blocked":
            self.failure = None

    def answered(self, status: int, retry_after: str) -> None:
        """What the service answered; a refusal counts for more than what came before or after it."""
        if not self.status or not 200 <= status < 300:
            self.status, self.retry_after = status, retry_after

    def note(self, line: str) -> None:
        if len(self.log) < MAX_LOG:
            self.log.append(line)


def _getaddrinfo(host: str, port: int) -> Sequence[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return [str(info[4][0]) for info in found]
