"""Events that come over Redis Streams: a real server, both stores."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.brokers import Broker, redis_server
from tests.harness import Start
from tests.stages.bus_checks import counted, events, refused, until

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with redis_server(tmp_path_factory.mktemp("redis")) as found:
        yield found


@pytest.fixture
async def redis(anyio_backend: Any, broker: Broker) -> AsyncIterator[Redis]:
    found = Redis(port=broker.port, protocol=2)
    await found.flushall()
    yield found
    await found.aclose()


def url(broker: Broker, query: str = "") -> str:
    return f"redis://127.0.0.1:{broker.port}/events?{query}"


async def pending(redis: Redis) -> int:
    return int((await redis.xpending("events", "tocsin"))["pending"])


async def test_every_shape_is_understood_and_acknowledged(start: Start, broker: Broker, redis: Redis) -> None:
    await redis.xadd("events", {"data": json.dumps({"type": "run.failed", "id": "1"})})
    await redis.xadd("events", {"type": "run.failed", "id": "2", "pipeline": "etl"})
    binary: dict[Any, Any] = {
        "ce_specversion": "1.0",
        "ce_id": "3",
        "ce_source": "/acme",
        "ce_type": "run.failed",
        "ce_team": "café",
    }
    await redis.xadd("events", binary | {"data": '{"rows": 3}', "content-type": "application/json"})
    last = bytes(await redis.xadd("events", {"data": '{"type": "run.failed"}'})).decode()  # type: ignore[arg-type]
    await redis.xadd("events", {"data": "poison"})
    await redis.xadd("events", {"neither": "one nor the other"})
    tocsin = await start(TOCSIN_BUS_URL=url(broker))
    await counted(tocsin, accepted=4, refused=2)
    found = {event["id"]: event for event in await events(tocsin)}
    assert set(found) == {"1", "2", "3", f"redis:events/{last}:0"}
    assert found["2"]["pipeline"] == "etl"
    assert found["3"]["labels"] == {"ce_team": "café"}
    assert found["3"]["data"] == {"rows": 3}
    assert [item["bus"] for item in await refused(tocsin)] == ["redis/events"] * 2
    (bus,) = tocsin.app.buses
    await bus.stop(5)
    assert await pending(redis) == 0
    assert await redis.xinfo_consumers("events", "tocsin") == []


async def test_what_another_process_left_behind_is_taken_over(start: Start, broker: Broker, redis: Redis) -> None:
    await redis.xgroup_create("events", "tocsin", id="0", mkstream=True)
    for number in range(3):
        await redis.xadd("events", {"data": json.dumps({"type": "run.failed", "id": str(number)})})
    taken: Any = await redis.xreadgroup("tocsin", "killed", {"events": ">"}, count=3)
    assert len(taken[0][1]) == 3
    await redis.xclaim("events", "tocsin", "killed", 0, [id_ for id_, _ in taken[0][1]], idle=61_000)
    tocsin = await start(TOCSIN_BUS_URL=url(broker))
    await counted(tocsin, accepted=3)
    (bus,) = tocsin.app.buses
    await bus.stop(5)
    assert await pending(redis) == 0


async def test_what_comes_a_second_time_is_known(start: Start, broker: Broker, redis: Redis) -> None:
    await redis.xadd("events", {"data": '{"type": "run.failed"}'})
    first = await start(TOCSIN_BUS_URL=url(broker))
    await counted(first, accepted=1)
    (bus,) = first.app.buses
    await bus.stop(5)
    again = await start(TOCSIN_BUS_URL=url(broker, "group=other"))
    await counted(again, accepted=0, duplicate=1)
    await until(lambda: not again.app.buses[0].away, "reading")
