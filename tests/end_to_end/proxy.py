"""What may happen between Tocsin and a server: a TCP proxy that delays, hangs, resets and refuses.

with Proxy(postgres.port) as proxy:
    ... connect to proxy.port ...
    proxy.hang()    # open connections are dead for ever, new ones too: nothing passes, nobody is told (half-open)
    proxy.heal()    # new connections pass again
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Literal

from tests.end_to_end.process import steady_port

Mode = Literal["pass", "hang", "refuse"]
PIECE = 65_536
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER of 0 seconds: closing sends RST."""


class Connection:
    """One client's, and ours to the server behind."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client = client
        self.server = server
        self.is_dead = False

    def reset(self) -> None:
        for writer in (self.client, self.server):
            with contextlib.suppress(OSError, AttributeError):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()


class Proxy:
    """From a port of its own to 127.0.0.1:`to`, in a thread."""

    def __init__(self, to: int) -> None:
        self.to = to
        self.port = steady_port()
        self.mode: Mode = "pass"
        self.delay_s = 0.0
        self.open: set[Connection] = set()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    def __enter__(self) -> "Proxy":
        self.thread.start()
        self._do(self._listen)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._do(self._end)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)

    def slow(self, delay_s: float) -> None:
        """Every piece of data takes so much longer, in each direction."""
        self.delay_s = delay_s

    def hang(self) -> None:
        """Half-open: bytes are taken and go nowhere; what is open now stays so for ever."""
        self.mode = "hang"
        for connection in self.open:
            connection.is_dead = True

    def refuse(self) -> None:
        """Nobody listens any more, and what is open is reset."""
        self.mode = "refuse"
        self._do(self._deafen)
        self.reset()

    def reset(self) -> None:
        """Every open connection ends with RST; new ones pass."""
        self._do(self._reset)

    def heal(self) -> None:
        was, self.mode, self.delay_s = self.mode, "pass", 0.0
        if was == "refuse":
            self._do(self._listen)

    def _do(self, what: Callable[[], object]) -> None:
        async def done() -> None:
            result = what()
            if asyncio.iscoroutine(result):
                await result

        asyncio.run_coroutine_threadsafe(done(), self.loop).result(5)

    async def _listen(self) -> None:
        self.listening = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def _end(self) -> None:
        self._deafen()
        self._reset()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _deafen(self) -> None:
        self.listening.close()

    def _reset(self) -> None:
        for connection in list(self.open):
            connection.reset()

    async def _serve(self, from_client: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        try:
            from_server, server = await asyncio.open_connection("127.0.0.1", self.to)
        except OSError:
            client.transport.abort()
            return
        connection = Connection(client, server)
        connection.is_dead = self.mode == "hang"
        self.open.add(connection)
        ways = ((from_client, server), (from_server, client))
        pumps = [asyncio.create_task(self._pump(connection, reader, writer)) for reader, writer in ways]
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in pumps:
            pump.cancel()
        self.open.discard(connection)
        connection.reset()

    async def _pump(self, connection: Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(PIECE):
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                if not connection.is_dead:
                    writer.write(data)
                    await writer.drain()
