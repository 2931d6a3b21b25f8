"""NATS JetStream: a durable pull consumer that all processes share.

Requests for messages are kept open at the server, so that the next ones are on their way while these are written down.
https://docs.nats.io/nats-concepts/jetstream/consumers
"""

import asyncio
import json
import ssl
from collections import deque

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig
from nats.js.errors import NotFoundError

from tocsin.model.bus import BusAddress, BusMessage

ACK_WAIT_S = 60
"""What was not acknowledged after so long comes again: longer than intake ever takes to say yes or no (8 s)."""

EXPIRES_S = 20
MOST_BYTES = 16 * 1024 * 1024
"""Of one request: what is on its way stays bounded whatever the size of messages (a server takes 1 MiB each)."""

MOST_UNACKNOWLEDGED = 20_000
CONNECT_S, PING_S = 3, 5
END_OF_REQUEST = ("404", "408", "409 Batch Completed", "409 Message Size Exceeds MaxBytes")
"""Any other status is trouble: `409 Consumer Deleted`, `503` …
https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-13.md"""


class JetStream:
    """`consumer` is made where there is none; one that is there is used as it was set up."""

    def __init__(self, address: BusAddress, tls: ssl.SSLContext | None) -> None:
        self.address = address
        self.tls = tls
        self.consumer = address.options.get("consumer", "tocsin")
        self.client: Client | None = None
        self.came: deque[Msg] = deque()
        self.more = asyncio.Event()
        self.asked = 0
        self.asked_s = 0.0
        self.broken = ""
        self.inbox = ""

    async def connect(self) -> None:
        self.came.clear()
        self.asked, self.broken = 0, ""
        self.client = client = Client()
        given = self.address
        await client.connect(
            [f"{'tls' if given.tls else 'nats'}://{host}" for host in given.hosts],
            name="tocsin",
            user=given.user or None,
            password=given.password or None,
            tls=self.tls,
            allow_reconnect=False,
            connect_timeout=CONNECT_S,
            ping_interval=PING_S,
            max_outstanding_pings=2,
            error_cb=self._quiet,
            closed_cb=self._closed,
        )
        manager = client.jsm(timeout=CONNECT_S)
        try:
            await manager.stream_info(given.path)
        except NotFoundError:
            raise LookupError(f"there is no stream {given.path!r}") from None
        try:
            config = (await manager.consumer_info(given.path, self.consumer)).config
        except NotFoundError:
            config = ConsumerConfig(
                durable_name=self.consumer,
                ack_policy=AckPolicy.EXPLICIT,
                ack_wait=int(given.options.get("ack_wait", ACK_WAIT_S)),
                max_ack_pending=MOST_UNACKNOWLEDGED,
                filter_subject=given.options.get("subject"),
            )
            await manager.add_consumer(given.path, config)
        if config.deliver_subject or config.ack_policy != AckPolicy.EXPLICIT:
            raise LookupError(f"the consumer {self.consumer!r} is not one that is pulled and acknowledges explicitly")
        self.inbox = client.new_inbox()
        await client.subscribe(self.inbox, cb=self._take)

    async def _quiet(self, error: Exception) -> None:
        self._end(f"{type(error).__name__}: {error}")

    async def _closed(self) -> None:
        self._end("the connection was closed")

    def _end(self, reason: str) -> None:
        self.broken = self.broken or reason
        self.more.set()

    async def _take(self, message: Msg) -> None:
        status = (message.headers or {}).get("Status", "") if not message.reply else ""
        if not status:
            self.came.append(message)
            self.asked -= 1
        elif status != "100":
            assert message.headers is not None
            about = message.headers.get("Description", "")
            if f"{status} {about}".startswith(END_OF_REQUEST):
                self.asked -= int(message.headers.get("Nats-Pending-Messages", self.asked))
            else:
                self._end(f"{status} {about}")
                return
        self.more.set()

    async def fetch(self, most: int, wait_s: float) -> list[BusMessage]:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + wait_s
        while True:
            if self.broken:
                raise ConnectionError(self.broken)
            await self._ask(most, loop.time())
            if self.came or loop.time() >= until_s:
                break
            self.more.clear()
            try:
                async with asyncio.timeout_at(until_s):
                    await self.more.wait()
            except TimeoutError:
                pass
        taken = [self.came.popleft() for _ in range(min(most, len(self.came)))]
        return [as_bus_message(message) for message in taken]

    async def _ask(self, most: int, now_s: float) -> None:
        """Keeps up to `most` on their way. A request of which nothing was heard any more is given up."""
        if self.asked > 0 and now_s > self.asked_s + EXPIRES_S + PING_S:
            self.asked = 0
        if len(self.came) + max(self.asked, 0) > most // 2:
            return
        assert self.client is not None
        request = {"batch": most, "expires": EXPIRES_S * 10**9, "max_bytes": MOST_BYTES}
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self.address.path}.{self.consumer}"
        self.asked = max(self.asked, 0) + most
        self.asked_s = now_s
        await self.client.publish(subject, json.dumps(request).encode(), reply=self.inbox)

    async def acknowledge(self, messages: list[BusMessage]) -> None:
        assert self.client is not None
        for message in messages:
            await self.client.publish(message.handle)

    async def lag(self) -> int | None:
        assert self.client is not None
        found = await self.client.jsm(timeout=CONNECT_S).consumer_info(self.address.path, self.consumer)
        return (found.num_pending or 0) + (found.num_ack_pending or 0)

    async def close(self) -> None:
        """What was acknowledged is on the wire before it ends; what nobody has looked at is given back at once."""
        client, self.client = self.client, None
        if client is None:
            return
        if client.is_connected and not self.broken:
            for message in self.came:
                await client.publish(message.reply, b"-NAK")
            await client.flush(timeout=CONNECT_S)
        await client.close()


def as_bus_message(message: Msg) -> BusMessage:
    """A position has the time at which the stream took the message: in one that was made anew numbers begin anew."""
    headers = {name.lower(): value for name, value in (message.headers or {}).items()}
    about = message.metadata
    position = f"{about.stream}/{about.sequence.stream}/{int(about.timestamp.timestamp() * 1e6)}"
    return BusMessage(message.data, headers, position, message.reply)
