"""A broker of one queue that speaks AMQP 0-9-1, as far as a reader needs it: what is not acknowledged when a connection
ends is handed out again, in its old order. https://www.rabbitmq.com/amqp-0-9-1-reference"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pamqp.frame
from pamqp import body, commands, exceptions, header, heartbeat

FRAME_MAX = 131_072


@dataclass(frozen=True)
class Message:
    body: bytes
    headers: Mapping[str, Any] = field(default_factory=dict)
    message_id: str | None = None
    content_type: str | None = None


class AmqpBroker:
    """`loses_acks`: as if a connection broke just before it brought them."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.port = 0
        self.queue: deque[Message] = deque()
        self.unacknowledged: dict[int, Message] = {}
        self.connections: list[Connection] = []
        self.logins: list[str] = []
        self.loses_acks = False

    def put(self, message: Message) -> None:
        self.queue.append(message)
        for connection in self.connections:
            connection.deliver()

    def cut(self) -> None:
        """Every connection ends without a word."""
        for connection in list(self.connections):
            connection.writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(self, reader, writer)
        self.connections.append(connection)
        try:
            await connection.run()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.connections.remove(connection)
            self.queue.extendleft(reversed(self.unacknowledged.values()))
            self.unacknowledged.clear()
            writer.close()


class Connection:
    """One reader."""

    def __init__(self, broker: AmqpBroker, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.broker = broker
        self.reader = reader
        self.writer = writer
        self.buffer = b""
        self.tag = 0
        self.consumer = ""
        self.prefetch = 0

    async def run(self) -> None:
        assert await self.reader.readexactly(8) == b"AMQP\x00\x00\x09\x01"
        self.send(0, commands.Connection.Start(server_properties={"capabilities": {}}, mechanisms="PLAIN"))
        while True:
            channel, frame = await self.frame()
            if isinstance(frame, heartbeat.Heartbeat):
                continue
            if not self.answer(channel, frame):
                return

    async def frame(self) -> tuple[int, Any]:
        while True:
            with contextlib.suppress(exceptions.UnmarshalingException):
                size, channel, frame = pamqp.frame.unmarshal(self.buffer)
                self.buffer = self.buffer[size:]
                return channel, frame
            if not (more := await self.reader.read(65_536)):
                raise asyncio.IncompleteReadError(b"", None)
            self.buffer += more

    def send(self, channel: int, frame: Any) -> None:
        self.writer.write(pamqp.frame.marshal(frame, channel))

    def answer(self, channel: int, frame: Any) -> bool:
        """Whether the connection goes on."""
        match frame:
            case commands.Connection.StartOk():
                self.broker.logins.append(str(frame.response))
                self.send(0, commands.Connection.Tune(channel_max=16, frame_max=FRAME_MAX, heartbeat=60))
            case commands.Connection.Open():
                self.send(0, commands.Connection.OpenOk())
            case commands.Connection.Close():
                self.send(0, commands.Connection.CloseOk())
                return False
            case commands.Channel.Open():
                self.send(channel, commands.Channel.OpenOk())
            case commands.Channel.Close():
                self.send(channel, commands.Channel.CloseOk())
            case commands.Basic.Qos():
                self.prefetch = frame.prefetch_count
                self.send(channel, commands.Basic.QosOk())
            case commands.Queue.Declare():
                self.declared(channel, frame)
            case commands.Basic.Consume():
                self.consumer = frame.consumer_tag
                self.send(channel, commands.Basic.ConsumeOk(consumer_tag=self.consumer))
                self.deliver(channel)
            case commands.Basic.Ack():
                if not self.broker.loses_acks:
                    self.acknowledged(frame.delivery_tag, frame.multiple)
                self.deliver(channel)
        return True

    def declared(self, channel: int, frame: commands.Queue.Declare) -> None:
        assert frame.passive, "a reader makes no queues"
        if frame.queue != self.broker.name:
            text = f"NOT_FOUND - no queue '{frame.queue}' in vhost '/'"
            self.send(channel, commands.Channel.Close(reply_code=404, reply_text=text, class_id=50, method_id=10))
        else:
            self.send(channel, commands.Queue.DeclareOk(frame.queue, len(self.broker.queue), 1))

    def acknowledged(self, tag: int, multiple: bool) -> None:
        for known in list(self.broker.unacknowledged):
            if known == tag or (multiple and known < tag):
                del self.broker.unacknowledged[known]

    def deliver(self, channel: int = 1) -> None:
        broker = self.broker
        while self.consumer and broker.queue and len(broker.unacknowledged) < self.prefetch:
            message = broker.queue.popleft()
            self.tag += 1
            broker.unacknowledged[self.tag] = message
            self.send(channel, commands.Basic.Deliver(self.consumer, self.tag, False, "", broker.name))
            properties = commands.Basic.Properties(
                headers=dict(message.headers), message_id=message.message_id, content_type=message.content_type
            )
            self.send(channel, header.ContentHeader(body_size=len(message.body), properties=properties))
            self.send(channel, body.ContentBody(message.body))


@asynccontextmanager
async def amqp_broker(name: str) -> AsyncIterator[AmqpBroker]:
    broker = AmqpBroker(name)
    server = await asyncio.start_server(broker.serve, "127.0.0.1", 0)
    broker.port = server.sockets[0].getsockname()[1]
    try:
        yield broker
    finally:
        server.close()
        broker.cut()
