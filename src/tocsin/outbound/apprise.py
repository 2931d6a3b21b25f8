"""Messages to Apprise's services, in a few threads of their own: Apprise blocks, and nothing else may wait for it."""

import asyncio
import os
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from tocsin.model.wire import AppriseReply, AppriseRequest, NoReply
from tocsin.outbound.address_guard import PUBLIC, Allowed
from tocsin.outbound.apprise_call import Aborted, Call, Resolve
from tocsin.outbound.proxy import Proxy

THREADS = 4
WAITING = 200
"""Messages that may wait for a thread; more are told that it is busy, and are tried again."""
BUSY = "every thread for Apprise is busy"
MISSING = NoReply("invalid", "install tocsin[apprise]")

Answer = AppriseReply | NoReply


class AppriseSender:
    """One for the process. What it is made with is as with `Outbound`."""

    def __init__(
        self,
        *,
        allow: Allowed = PUBLIC,
        connect_to: Mapping[str, str] | None = None,
        resolve: Resolve | None = None,
        ca_file: str = "",
        proxy: Proxy | None = None,
    ) -> None:
        self._allow = allow
        self._connect_to = dict(connect_to or {})
        self._resolve = resolve
        self._proxy = proxy
        self._ca_file = ca_file
        self._bundle: str | None = None
        self._threads = ThreadPoolExecutor(THREADS, "apprise")
        self._calls: dict[Future[Answer], Call] = {}
        self._open = True

    async def send(self, request: AppriseRequest, timeout_s: float) -> Answer:
        """One message, tried once. `timeout_s` covers waiting for a thread too."""
        if len(self._calls) >= THREADS + WAITING:
            return NoReply("timeout", BUSY)
        call = Call(
            time.monotonic() + timeout_s,
            self._allow,
            self._connect_to,
            self._resolve,
            proxy=self._proxy,
            bundle=self._trusted(),
        )
        future = self._threads.submit(_notify, call, request)
        self._calls[future] = call
        future.add_done_callback(self._done)
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.wrap_future(future)
        except TimeoutError:
            waited = future.cancel()
            return NoReply("timeout", BUSY if waited else "no answer in time", maybe_received=call.connected)
        except asyncio.CancelledError:
            if self._open:
                raise
            return NoReply("reset", "Tocsin is stopping", maybe_received=call.connected)
        finally:
            if not future.done():
                call.abort()

    def _trusted(self) -> str:
        """A file of the usual CAs and those of TOCSIN_CA_FILE, "" where there is none: `requests` takes one file."""
        if self._bundle is None:
            self._bundle = _bundle(self._ca_file) if self._ca_file else ""
        return self._bundle

    def _done(self, future: Future[Answer]) -> None:
        self._calls.pop(future, None)

    async def close(self) -> None:
        """Messages under way end as NoReply. A thread that waits for a name server ends by itself."""
        self._open = False
        self._threads.shutdown(wait=False, cancel_futures=True)
        for call in list(self._calls.values()):
            call.abort()
        if self._bundle:
            with suppress(OSError):
                os.unlink(self._bundle)


def _bundle(ca_file: str) -> str:
    try:
        from certifi import where
    except ImportError:
        return ""
    with tempfile.NamedTemporaryFile("w", suffix=".pem", delete=False) as file:
        file.write(Path(where()).read_text("utf-8") + "\n" + Path(ca_file).read_text("utf-8"))
    return file.name


def _notify(call: Call, request: AppriseRequest) -> Answer:
    try:
        from tocsin.outbound.apprise_http import notify
    except ImportError:
        return MISSING
    try:
        call.left_s()
    except Aborted:  # its time was up before there was a thread for it
        return NoReply("timeout", BUSY)
    return notify(call, request)
