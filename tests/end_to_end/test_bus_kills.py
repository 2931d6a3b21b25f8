"""Events over JetStream while both sides are killed at random: none is lost, none is stored twice."""

import asyncio
import json
import random
import time
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client
from nats.errors import Error as NatsError

from tests.brokers import Broker, nats_server
from tests.end_to_end.process import Server, Site, wait_for

AT_ONCE = 200
ACK_WAIT_S = 2
PUBLISH_S = 2.0


class Publisher:
    """Events 0 to `count` - 1, each with its number as its run. The even ones have an id and are sent until the stream
    has said that it has them; the odd ones have none and are sent once: what nobody knows of may be there or not."""

    def __init__(self, port: int, count: int) -> None:
        self.port = port
        self.numbers = iter(range(count))
        self.acked: set[int] = set()
        self.unknown: set[int] = set()
        self.client: Client | None = None

    async def run(self) -> None:
        await asyncio.gather(*(self.lane() for _ in range(AT_ONCE)))
        assert self.client is not None
        await self.client.close()

    async def lane(self) -> None:
        for number in self.numbers:
            event = {"type": "load.one", "run_id": f"r{number}", "pipeline": f"p{number % 7}"}
            if number % 2:
                (self.acked if await self.publish(event) else self.unknown).add(number)
            else:
                while not await self.publish(event | {"id": f"e{number}"}):
                    pass
                self.acked.add(number)

    async def publish(self, event: dict[str, str]) -> bool:
        try:
            if self.client is None:
                self.client = await nats.connect(
                    f"nats://127.0.0.1:{self.port}", max_reconnect_attempts=-1, reconnect_time_wait=0.05
                )
            await self.client.jetstream(timeout=PUBLISH_S).publish("events", json.dumps(event).encode())
        except (NatsError, OSError):
            await asyncio.sleep(0.05)
            return False
        return True


async def add_stream(port: int) -> None:
    client = await nats.connect(f"nats://127.0.0.1:{port}")
    await client.jetstream().add_stream(name="EVENTS", subjects=["events"])
    await client.close()


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


def prove(folder: Path, count: int, kills: int, seed: int) -> float:
    """Returns events per second, from the first that was sent to the last that was stored."""
    with nats_server(folder / "nats") as broker:
        asyncio.run(add_stream(broker.port))
        url = f"nats://127.0.0.1:{broker.port}/EVENTS?ack_wait={ACK_WAIT_S}"
        with Site(folder / "site", settings={"TOCSIN_BUS_URL": url}) as site:
            server = site.server().start()
            publisher = Publisher(broker.port, count)
            began = time.monotonic()
            asyncio.run(publish_through_kills(publisher, broker, server, kills, seed))

            def stored() -> dict[int, int]:
                rows = site.rows("SELECT run_id, count(*) FROM event WHERE type = 'load.one' GROUP BY run_id")
                return {int(run_id[1:]): int(found) for run_id, found in rows}

            wait_for("all are stored", lambda: publisher.acked <= set(stored()), 60, 0.2)
            took_s = time.monotonic() - began
            wait_for("nothing waits at the bus", lambda: lag(server) == 0, 30, 0.2)
            found = stored()
            assert publisher.acked | publisher.unknown == set(range(count))
            assert set(found) <= publisher.acked | publisher.unknown
            assert {number for number, times in found.items() if times != 1} == set()
            assert publisher.acked <= set(found)
            assert server.stop() == 0
            return count / took_s


def lag(server: Server) -> float | None:
    _, _, metrics = server.call("GET", "/metrics")
    lines = [line for line in metrics.splitlines() if line.startswith("tocsin_bus_lag{")]
    return float(lines[0].split()[-1]) if lines else None


def test_none_is_lost_and_none_is_stored_twice(tmp_path: Path) -> None:
    prove(tmp_path, count=2000, kills=4, seed=1)


@pytest.mark.proof
def test_none_of_a_hundred_thousand(tmp_path: Path) -> None:
    print(f"{prove(tmp_path, count=100_000, kills=30, seed=2):.0f} events/s through {30} kills")
