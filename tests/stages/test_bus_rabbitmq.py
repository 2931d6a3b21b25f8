"""Events that come over RabbitMQ: AMQP 0-9-1 as a small broker of our own speaks it, and Debian's RabbitMQ."""

import json
from pathlib import Path
from typing import Any

import aio_pika
import pytest

from tests.amqp_broker import AmqpBroker, Message, amqp_broker
from tests.brokers import rabbitmq_server
from tests.harness import Start
from tests.stages.bus_checks import counted, events, refused, until

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("store", ["sqlite"], indirect=True)]


@pytest.fixture
async def broker(anyio_backend: Any) -> Any:
    async with amqp_broker("events") as found:
        yield found


async def test_every_shape_is_understood_and_acknowledged(start: Start, broker: AmqpBroker) -> None:
    broker.put(Message(json.dumps({"type": "run.failed", "id": "1"}).encode()))
    broker.put(Message(b'{"type": "run.failed", "pipeline": "etl"}', message_id="m-2"))
    binary = {"cloudEvents:specversion": "1.0", "cloudEvents:id": "3", "cloudEvents:source": "/acme"}
    binary |= {"cloudEvents:type": "run.failed", "cloudEvents:team": "café"}
    broker.put(Message(b'{"rows": 3}', headers=binary, content_type="application/json"))
    broker.put(Message(b"poison"))
    tocsin = await start(TOCSIN_BUS_URL=f"amqp://me:secret@127.0.0.1:{broker.port}/events")
    await counted(tocsin, accepted=3, refused=1)
    await until(lambda: not broker.unacknowledged and not broker.queue, "acknowledged")
    found = {event["id"]: event for event in await events(tocsin)}
    assert set(found) == {"1", "amqp:events/m-2:0", "3"}
    assert found["3"]["labels"] == {"ce_team": "café"}
    assert [item["bus"] for item in await refused(tocsin)] == ["amqp/events"]
    assert broker.logins == ["\0me\0secret"]


async def test_what_was_not_acknowledged_comes_again_and_is_known(start: Start, broker: AmqpBroker) -> None:
    broker.loses_acks = True
    for number in range(3):
        broker.put(Message(b'{"type": "run.failed"}', message_id=str(number)))
    tocsin = await start(TOCSIN_BUS_URL=f"amqp://127.0.0.1:{broker.port}/events")
    await counted(tocsin, accepted=3)
    broker.loses_acks = False
    broker.cut()
    await counted(tocsin, accepted=3, duplicate=3)
    await until(lambda: not broker.unacknowledged and not broker.queue, "acknowledged")


async def test_a_queue_that_is_not_there_is_a_warning(start: Start, broker: AmqpBroker) -> None:
    tocsin = await start(TOCSIN_BUS_URL=f"amqp://127.0.0.1:{broker.port}/other")
    (bus,) = tocsin.app.buses
    await until(lambda: "NOT_FOUND" in bus.away, bus.away)
    assert "amqp/other is not read" in (await tocsin.client.get("/readyz")).ok()["warnings"][-1]


@pytest.mark.proof
async def test_rabbitmq_itself(start: Start, tmp_path: Path) -> None:
    with rabbitmq_server(tmp_path / "rabbitmq") as real:
        url = f"amqp://guest:guest@127.0.0.1:{real.port}"
        connection = await aio_pika.connect(url)
        channel = await connection.channel()
        early = await start(TOCSIN_BUS_URL=f"{url}/events")
        await until(lambda: "NOT_FOUND" in early.app.buses[0].away, "a queue that is not there is a warning")
        await early.app.buses[0].stop(5)
        queue = await channel.declare_queue("events", durable=True)

        async def put(body: bytes, **about: Any) -> None:
            await channel.default_exchange.publish(aio_pika.Message(body, **about), "events")

        await put(json.dumps({"type": "run.failed", "id": "1"}).encode())
        await put(b'{"type": "run.failed", "pipeline": "etl"}', message_id="m-2")
        binary: dict[str, Any] = {"cloudEvents:specversion": "1.0", "cloudEvents:id": "3"}
        binary |= {"cloudEvents:source": "/acme", "cloudEvents:type": "run.failed", "cloudEvents:team": "café"}
        await put(b'{"rows": 3}', headers=binary, content_type="application/json")
        await put(b"poison")
        tocsin = await start(TOCSIN_BUS_URL=f"{url}/events")
        await counted(tocsin, accepted=3, refused=1)
        found = {event["id"]: event for event in await events(tocsin)}
        assert set(found) == {"1", "amqp:events/m-2:0", "3"}
        assert found["3"]["labels"] == {"ce_team": "café"}
        await tocsin.app.buses[0].stop(5)
        left = await channel.declare_queue("events", durable=True, passive=True)
        assert left.declaration_result.message_count == 0
        await queue.delete()
        await connection.close()
        wrong = await start(TOCSIN_BUS_URL=f"amqp://me:wrong@127.0.0.1:{real.port}/events")
        await until(lambda: "ACCESS_REFUSED" in wrong.app.buses[0].away, "a wrong password is a warning")
        assert "wrong" not in wrong.app.buses[0].away
