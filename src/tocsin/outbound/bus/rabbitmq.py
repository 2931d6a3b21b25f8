"""RabbitMQ: a queue that is there, read by all processes.

https://www.rabbitmq.com/docs/confirms
"""

import asyncio
import ssl
from collections import deque
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage

from tocsin.model.bus import BusAddress, BusMessage
from tocsin.outbound.bus.headers import as_headers

TIMEOUT_S = 5.0
PREFETCHED = 1000
"""The next batch is on its way while one is written down."""


class RabbitQueue:
    """A queue has no positions: an event without an id of its own has its message's `message_id`, or none."""

    def __init__(self, address: BusAddress, tls: ssl.SSLContext | None) -> None:
        self.address = address
        self.tls = tls
        self.connection: AbstractConnection | None = None
        self.channel: AbstractChannel | None = None
        self.came: deque[AbstractIncomingMessage] = deque()
        self.more = asyncio.Event()
        self.broken = ""

    async def connect(self) -> None:
        self.came.clear()
        self.broken = ""
        self.connection = await self._connected()
        self.channel = channel = await self.connection.channel(publisher_confirms=False)
        channel.close_callbacks.add(self._closed)
        await channel.set_qos(prefetch_count=PREFETCHED, timeout=TIMEOUT_S)
        queue = await channel.declare_queue(self.address.path, passive=True, timeout=TIMEOUT_S)
        await queue.consume(self._take, timeout=TIMEOUT_S)

    async def _connected(self) -> AbstractConnection:
        """The first of the hosts that answers."""
        given = self.address
        for left, address in enumerate(given.hosts, 1 - len(given.hosts)):
            host, _, port = address.rpartition(":")
            try:
                return await aio_pika.connect(
                    host=host.strip("[]"),
                    port=int(port),
                    login=given.user or "guest",
                    password=given.password or "guest",
                    virtualhost=given.options.get("vhost", "/"),
                    ssl=given.tls,
                    ssl_context=self.tls,
                    timeout=TIMEOUT_S,
                    client_properties={"connection_name": "tocsin"},
                )
            except OSError:
                if not left:
                    raise
        raise AssertionError

    def _closed(self, channel: Any, error: BaseException | None) -> None:
        self.broken = f"{type(error).__name__}: {error}" if error is not None else "the channel was closed"
        self.more.set()

    async def _take(self, message: AbstractIncomingMessage) -> None:
        self.came.append(message)
        self.more.set()

    async def fetch(self, most: int, wait_s: float) -> list[BusMessage]:
        if not self.came and not self.broken:
            self.more.clear()
            try:
                async with asyncio.timeout(wait_s):
                    await self.more.wait()
            except TimeoutError:
                pass
        if self.broken:
            raise ConnectionError(self.broken)
        return [self._message(self.came.popleft()) for _ in range(min(most, len(self.came)))]

    def _message(self, message: AbstractIncomingMessage) -> BusMessage:
        texts = {name: text_of(value) for name, value in message.headers.items()}
        if message.content_type:
            texts["content-type"] = message.content_type
        position = f"{self.address.path}/{message.message_id}" if message.message_id else ""
        return BusMessage(message.body, as_headers(texts), position, message)

    async def acknowledge(self, messages: list[BusMessage]) -> None:
        """All up to the last: this channel's messages are done with in the order in which they came."""
        if messages:
            last: AbstractIncomingMessage = messages[-1].handle
            await last.ack(multiple=True)

    async def lag(self) -> int | None:
        """What nobody was given yet, and what waits here."""
        assert self.channel is not None
        found = await self.channel.declare_queue(self.address.path, passive=True, timeout=TIMEOUT_S)
        return (found.declaration_result.message_count or 0) + len(self.came)

    async def close(self) -> None:
        connection, self.connection, self.channel = self.connection, None, None
        if connection is not None:
            await connection.close()


def text_of(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
