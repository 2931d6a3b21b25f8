"""Events over a bus while both sides are killed at random: none is lost, none is stored twice."""

import asyncio
import json
import random
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple, Protocol

import aio_pika
import nats
import pytest
from aio_pika.exceptions import AMQPError
from nats.errors import Error as NatsError
from redis import Redis as RedisNow
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from tests.brokers import Broker, nats_server, rabbitmq_server, redis_server
from tests.end_to_end.process import Server, Site, wait_for

AT_ONCE = 200
PUBLISH_S = 2.0


class Sender(Protocol):
    """How events get into one kind of bus. What it raises, the bus may have taken or not."""

    async def open(self, port: int) -> None: ...
    async def prepare(self) -> None: ...
    async def put(self, number: int, body: bytes) -> None: ...
    async def close(self) -> None: ...


class ToNats:
    async def open(self, port: int) -> None:
        self.client = await nats.connect(
            f"nats://127.0.0.1:{port}", max_reconnect_attempts=-1, reconnect_time_wait=0.05
        )

    async def prepare(self) -> None:
        await self.client.jetstream().add_stream(name="EVENTS", subjects=["events"])

    async def put(self, number: int, body: bytes) -> None:
        await self.client.jetstream(timeout=PUBLISH_S).publish("events", body)

    async def close(self) -> None:
        await self.client.close()


class ToRabbit:
    """Messages on the disk, each confirmed. A queue has no positions: what has no id of its own has its message's."""

    async def open(self, port: int) -> None:
        self.connection = await aio_pika.connect(host="127.0.0.1", port=port, timeout=PUBLISH_S)
        self.channel = await self.connection.channel()

    async def prepare(self) -> None:
        await self.channel.declare_queue("EVENTS", durable=True)

    async def put(self, number: int, body: bytes) -> None:
        message = aio_pika.Message(body, message_id=f"m{number}", delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await self.channel.default_exchange.publish(message, "EVENTS", timeout=PUBLISH_S)

    async def close(self) -> None:
        await self.connection.close()


class ToRedis:
    async def open(self, port: int) -> None:
        self.redis = Redis(port=port, protocol=2, retry=Retry(NoBackoff(), 0), socket_timeout=PUBLISH_S)

    async def prepare(self) -> None:
        await self.redis.ping()

    async def put(self, number: int, body: bytes) -> None:
        await self.redis.xadd("EVENTS", {"data": body})

    async def close(self) -> None:
        await self.redis.aclose()


FAILURES = (NatsError, AMQPError, RedisError, OSError, RuntimeError, TimeoutError)
"""RuntimeError is what aio-pika says of a channel that is closed."""


class Publisher:
    """Events 0 to `count` - 1, each with its number as its run. The even ones have an id and are sent until the bus has
    said that it has them; the odd ones have none and are sent once: what nobody knows of may be there or not."""

    def __init__(self, to: Sender, port: int, count: int) -> None:
        self.to = to
        self.port = port
        self.numbers = iter(range(count))
        self.acked: set[int] = set()
        self.unknown: set[int] = set()
        self.opening = asyncio.Lock()
        self.lost = 0
        self.opened = -1  # after how many losses

    async def run(self) -> None:
        await asyncio.gather(*(self.lane() for _ in range(AT_ONCE)))
        await self.to.close()

    async def lane(self) -> None:
        for number in self.numbers:
            event = {"type": "load.one", "run_id": f"r{number}", "pipeline": f"p{number % 7}"}
            if number % 2:
                (self.acked if await self.publish(number, event) else self.unknown).add(number)
            else:
                while not await self.publish(number, event | {"id": f"e{number}"}):
                    pass
                self.acked.add(number)

    async def publish(self, number: int, event: dict[str, str]) -> bool:
        before = self.lost
        try:
            async with self.opening:
                if self.opened < self.lost:
                    await self.to.open(self.port)
                    self.opened = self.lost
            await self.to.put(number, json.dumps(event).encode())
        except FAILURES:
            if self.opened == before == self.lost and not isinstance(self.to, ToNats):  # which connects again by itself
                self.lost += 1
            await asyncio.sleep(0.05)
            return False
        return True


async def prepare(to: Sender, port: int) -> None:
    await to.open(port)
    await to.prepare()
    await to.close()


class Bus(NamedTuple):
    start: Callable[[Path], AbstractContextManager[Broker]]
    sender: Callable[[], Sender]
    url: str
    waiting: Callable[[Server, int], float | None]


def lag(server: Server, port: int) -> float | None:
    _, _, metrics = server.call("GET", "/metrics")
    lines = [line for line in metrics.splitlines() if line.startswith("tocsin_bus_lag{")]
    return float(lines[0].split()[-1]) if lines else None


def pending(server: Server, port: int) -> float:
    """Taken and not acknowledged. The lag, Redis says from 7.0 on only."""
    with RedisNow(port=port, protocol=2) as redis:
        return float(redis.xpending("EVENTS", "tocsin")["pending"])


BUSES = {
    "nats": Bus(nats_server, ToNats, "nats://127.0.0.1:{port}/EVENTS?ack_wait=2", lag),
    "rabbitmq": Bus(rabbitmq_server, ToRabbit, "amqp://127.0.0.1:{port}/EVENTS", lag),
    "redis": Bus(redis_server, ToRedis, "redis://127.0.0.1:{port}/EVENTS?idle=2", pending),
}


async def publish_through_kills(publisher: Publisher, broker: Broker, server: Server, kills: int, seed: int) -> None:
    """Each side in turn by chance; it is back before the next is killed."""
    dice = random.Random(seed)
    sending = asyncio.create_task(publisher.run())
    for number in range(kills):
        await asyncio.sleep(dice.uniform(0.1, 0.6))
        victim: Broker | Server = (broker, server)[number % 2] if number < 2 else dice.choice((broker, server))
        await asyncio.to_thread(victim.kill)
        await asyncio.to_thread(victim.start)
    await sending


def prove(folder: Path, bus: Bus, count: int, kills: int, seed: int) -> float:
    """Returns events per second, from the first that was sent to the last that was stored."""
    with bus.start(folder / "bus") as broker:
        asyncio.run(prepare(bus.sender(), broker.port))
        url = bus.url.format(port=broker.port)
        with Site(folder / "site", settings={"TOCSIN_BUS_URL": url}) as site:
            server = site.server().start()
            publisher = Publisher(bus.sender(), broker.port, count)
            began = time.monotonic()
            asyncio.run(publish_through_kills(publisher, broker, server, kills, seed))

            def stored() -> dict[int, int]:
                rows = site.rows("SELECT run_id, count(*) FROM event WHERE type = 'load.one' GROUP BY run_id")
                return {int(run_id[1:]): int(found) for run_id, found in rows}

            wait_for("all are stored", lambda: publisher.acked <= set(stored()), 60, 0.2)
            took_s = time.monotonic() - began
            wait_for("nothing waits at the bus", lambda: bus.waiting(server, broker.port) == 0, 30, 0.2)
            found = stored()
            assert publisher.acked | publisher.unknown == set(range(count))
            assert set(found) <= publisher.acked | publisher.unknown
            assert {number for number, times in found.items() if times != 1} == set()
            assert publisher.acked <= set(found)
            assert server.stop() == 0
            return count / took_s


def test_none_is_lost_and_none_is_stored_twice(tmp_path: Path) -> None:
    prove(tmp_path, BUSES["nats"], count=2000, kills=4, seed=1)


@pytest.mark.proof
@pytest.mark.parametrize(
    ("name", "count", "kills"), [("nats", 100_000, 30), ("redis", 20_000, 10), ("rabbitmq", 10_000, 6)]
)
def test_none_of_many_thousands(tmp_path: Path, name: str, count: int, kills: int) -> None:
    # Kafka is a mock in this process (librdkafka's): it cannot be killed.
    print(f"{name}: {prove(tmp_path, BUSES[name], count, kills, seed=2):.0f} events/s through {kills} kills")
