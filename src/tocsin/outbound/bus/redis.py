"""Redis Streams: a consumer group that all processes share; what a process took and left behind is taken over.

The body is an entry's field `data`, its other fields are headers. An entry without one is an event by its fields.
https://redis.io/docs/latest/develop/data-types/streams/
"""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError

from tocsin.model.bus import BusAddress, BusMessage
from tocsin.outbound.bus.headers import as_headers

IDLE_S = 60
"""What was not acknowledged after so long is taken over: longer than intake ever takes to say yes or no (8 s)."""

TIMEOUT_S = 5.0
BODY = "data"


class RedisStream:
    """The group is made where there is none, and then reads the stream from its beginning."""

    def __init__(self, address: BusAddress, ca_file: str, reader: str) -> None:
        self.address = address
        self.ca_file = ca_file
        self.reader = reader
        self.stream = address.path
        self.group = address.options.get("group", "tocsin")
        self.idle_s = int(address.options.get("idle", IDLE_S))
        self.client: Redis | None = None
        self.left_over = True
        self.claim_s = 0.0

    async def connect(self) -> None:
        given = self.address
        host, _, port = given.hosts[0].rpartition(":")
        self.client = client = Redis(
            host=host.strip("[]"),
            port=int(port),
            db=int(given.options.get("db", "0")),
            username=given.user or None,
            password=given.password or None,
            ssl=given.tls,
            ssl_ca_certs=self.ca_file or None,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            protocol=2,
            retry=Retry(NoBackoff(), 0),
        )
        try:
            await client.xgroup_create(self.stream, self.group, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise
        self.left_over = True
        self.claim_s = 0.0

    async def fetch(self, most: int, wait_s: float) -> list[BusMessage]:
        """First what this process took before it lost its connection, now and then what others left behind."""
        assert self.client is not None
        loop = asyncio.get_running_loop()
        if self.left_over:
            found = await self._read(most, "0", None)
            self.left_over = bool(found)
            if found:
                return await self._messages(found)
        if loop.time() >= self.claim_s:
            found = (
                await self.client.xautoclaim(self.stream, self.group, self.reader, self.idle_s * 1000, "0-0", most)
            )[1]
            if found:
                return await self._messages(found)
            self.claim_s = loop.time() + self.idle_s / 4
        return await self._messages(await self._read(most, ">", max(1, round(wait_s * 1000))))

    async def _read(self, most: int, after: str, block_ms: int | None) -> list[Any]:
        assert self.client is not None
        streams: Any = {self.stream: after}
        found: Any = await self.client.xreadgroup(self.group, self.reader, streams, count=most, block=block_ms)
        return list(found[0][1]) if found else []

    async def _messages(self, entries: list[Any]) -> list[BusMessage]:
        """Without those that the stream has dropped meanwhile, by its own limit: of them nothing is left."""
        assert self.client is not None
        if gone := [id_ for id_, fields in entries if fields is None]:
            await self.client.xack(self.stream, self.group, *gone)
        return [as_bus_message(self.stream, id_, fields) for id_, fields in entries if fields is not None]

    async def acknowledge(self, messages: list[BusMessage]) -> None:
        assert self.client is not None
        if messages:
            await self.client.xack(self.stream, self.group, *(message.handle for message in messages))

    async def lag(self) -> int | None:
        """Redis says it from 7.0 on."""
        assert self.client is not None
        for group in await self.client.xinfo_groups(self.stream):
            if group["name"] == self.group.encode() and group.get("lag") is not None:
                return int(group["lag"]) + int(group["pending"])
        return None

    async def close(self) -> None:
        """A reader that has nothing left goes from the group, or there would be one more with every start."""
        client, self.client = self.client, None
        if client is None:
            return
        try:
            if not await client.xpending_range(self.stream, self.group, "-", "+", 1, self.reader):
                await client.xgroup_delconsumer(self.stream, self.group, self.reader)
        finally:
            await client.aclose()


def as_bus_message(stream: str, id_: bytes, fields: Mapping[bytes, bytes]) -> BusMessage:
    texts = {name.decode("utf-8", "replace"): value for name, value in fields.items()}
    body = texts.pop(BODY, None)
    headers = as_headers({name: value.decode("utf-8", "replace") for name, value in texts.items()})
    if body is None:
        is_binary = "ce-specversion" in headers
        body = b"" if is_binary else json.dumps({n: v.decode("utf-8", "replace") for n, v in texts.items()}).encode()
        headers = headers if is_binary else {}
    return BusMessage(body, headers, f"{stream}/{id_.decode()}", id_)
