"""Events that come over NATS JetStream: a real server, both stores."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.aio.client import Client as Nats
from nats.js import JetStreamContext

from tests.brokers import Broker, nats_server
from tests.harness import PATIENCE_S, Start
from tests.stages.bus_checks import counted, events, refused, until

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with nats_server(tmp_path_factory.mktemp("nats")) as found:
        yield found


@pytest.fixture
async def client(anyio_backend: Any, broker: Broker) -> AsyncIterator[Nats]:
    found = await nats.connect(f"nats://127.0.0.1:{broker.port}")
    yield found
    await found.close()


@pytest.fixture
async def js(client: Nats) -> AsyncIterator[JetStreamContext]:
    """A server with an empty stream EVENTS of what is published to `events`."""
    found = client.jetstream()
    await found.add_stream(name="EVENTS", subjects=["events"])
    yield found
    await found.delete_stream("EVENTS")


def url(broker: Broker, **options: str) -> str:
    query = "&".join(f"{name}={value}" for name, value in options.items())
    return f"nats://127.0.0.1:{broker.port}/EVENTS?{query}"


async def acknowledged(js: JetStreamContext) -> None:
    """Nothing waits at the server, and nothing is on its way."""
    end = time.monotonic() + PATIENCE_S
    while True:
        found = await js.consumer_info("EVENTS", "tocsin")
        if not found.num_pending and not found.num_ack_pending:
            return
        assert time.monotonic() < end, found
        await asyncio.sleep(0.01)


async def test_an_event_reaches_its_receiver_and_is_then_acknowledged(
    start: Start, broker: Broker, js: JetStreamContext
) -> None:
    tocsin = await start(TOCSIN_BUS_URL=url(broker))
    hook = tocsin.receiver.hook("/a")
    await tocsin.webhook(hook, enabled_events=["run.failed"])
    await js.publish("events", json.dumps({"type": "run.failed", "id": "1", "pipeline": "etl"}).encode())
    await counted(tocsin, accepted=1)
    await tocsin.settle()
    (message,) = hook.expect(1)
    assert b'"etl"' in message.body
    await acknowledged(js)


async def test_every_shape_is_understood(start: Start, broker: Broker, js: JetStreamContext) -> None:
    event = {"specversion": "1.0", "id": "c1", "source": "/acme", "type": "run.failed", "data": {"pipeline": "etl"}}
    batch = {"events": [{"type": "run.started", "id": "b1"}, {"type": "run.succeeded"}]}
    await js.publish("events", json.dumps(batch).encode())
    await js.publish("events", json.dumps(event).encode())
    typed = {"Content-Type": "application/cloudevents+json"}
    await js.publish("events", json.dumps(event | {"id": "c2"}).encode(), headers=typed)
    binary = {"ce-specversion": "1.0", "ce-id": "c3", "ce-source": "/acme", "ce-type": "run.failed",
              "content-type": "application/json", "ce-team": "caf%C3%A9"}  # fmt: skip
    await js.publish("events", b'{"rows": 3}', headers=binary)
    several = [event | {"id": "c4"}, event | {"id": "c5"}]
    await js.publish("events", json.dumps(several).encode())
    tocsin = await start(TOCSIN_BUS_URL=url(broker))
    await counted(tocsin, accepted=7, refused=0)
    found = {event["id"]: event for event in await events(tocsin)}
    assert {"b1", "c1", "c2", "c3", "c4", "c5"} < set(found)
    assert found["c1"]["pipeline"] == "etl"
    assert found["c3"]["data"] == {"rows": 3}
    assert found["c3"]["labels"] == {"ce_team": "café"}
    (made,) = set(found) - {"b1", "c1", "c2", "c3", "c4", "c5"}
    assert made.startswith("nats:EVENTS/1/")


async def test_what_comes_a_second_time_is_known(start: Start, broker: Broker, js: JetStreamContext) -> None:
    for number in range(3):
        await js.publish("events", json.dumps({"type": "run.failed", "pipeline": f"p{number}"}).encode())
    tocsin = await start(TOCSIN_BUS_URL=url(broker))
    await counted(tocsin, accepted=3)
    await acknowledged(js)
    again = await start(TOCSIN_BUS_URL=url(broker, consumer="other"))
    await counted(again, accepted=0, duplicate=3)
    assert len(await events(again)) == 3


async def test_poison_is_set_aside_with_its_reason_and_holds_up_nobody(
    start: Start, broker: Broker, js: JetStreamContext
) -> None:
    poison = [b"not json \x00\xff", b'{"type": 1}', b"", b'{"type": "x", "source": "tocsin"}', b"[" * 5000, b"9" * 9000]
    for number, body in enumerate(poison):
        await js.publish("events", body)
        await js.publish("events", json.dumps({"type": "run.failed", "id": str(number)}).encode())
    await js.publish("events", b"1", headers={"Content-Type": "application/cloudevents+avro"})
    tocsin = await start(TOCSIN_BUS_URL=url(broker))
    await counted(tocsin, accepted=6, refused=7)
    await acknowledged(js)
    found = (await tocsin.client.get("/v1/bus/refused")).ok()["items"]
    assert len(found) == 7
    by_position = {int(item["position"].split("/")[1]): item for item in found}
    assert set(by_position) == {1, 3, 5, 7, 9, 11, 13}
    assert by_position[1]["bus"] == "nats/EVENTS"
    assert by_position[1]["body"] == "not json \x00�"
    assert by_position[3]["reason"].startswith("type: expected a name such as run.failed")
    assert (by_position[11]["size"], len(by_position[11]["body"])) == (9000, 4096)
    assert "content-type" in by_position[13]["reason"]
    viewer = await tocsin.as_("viewer")
    (await viewer.get("/v1/bus/refused")).problem(403)
    theirs = await tocsin.as_("admin", "theirs")
    assert (await theirs.get("/v1/bus/refused")).ok() == {"items": [], "next": None}
    metrics = (await tocsin.client.get("/metrics")).body.decode()
    assert 'tocsin_bus_events_total{bus="nats/EVENTS",outcome="refused"} 7.0' in metrics
    assert 'tocsin_bus_up{bus="nats/EVENTS"} 1.0' in metrics
    assert 'tocsin_bus_lag{bus="nats/EVENTS"}' in metrics


async def test_the_tenant_is_the_addresss_and_never_the_messages(
    start: Start, broker: Broker, js: JetStreamContext
) -> None:
    tocsin = await start(TOCSIN_BUS_URL=url(broker, tenant="acme"))
    await js.publish("events", json.dumps({"type": "run.failed", "tenant": "default", "id": "1"}).encode())
    await js.publish("events", json.dumps({"type": "run.failed", "id": "2", "labels": {"tenant": "default"}}).encode())
    (bus,) = tocsin.app.buses
    await until(lambda: bus.away == "there is no tenant 'acme'", bus.away)
    ready = (await tocsin.client.get("/readyz")).ok()
    assert ready["warnings"][-1] == "the event bus nats/EVENTS is not read: there is no tenant 'acme'"
    acme = await tocsin.as_("admin", "acme")
    await counted(tocsin, accepted=1, refused=1)
    assert [event["id"] for event in (await acme.get("/v1/events")).ok()["items"]] == ["2"]
    assert await events(tocsin) == []


async def test_a_bus_that_goes_away_is_a_warning_and_is_read_again(
    start: Start, tmp_path: Path, anyio_backend: Any
) -> None:
    with nats_server(tmp_path / "nats") as own:
        client = await nats.connect(f"nats://127.0.0.1:{own.port}")
        await client.jetstream().add_stream(name="EVENTS", subjects=["events"])
        await client.jetstream().publish("events", b'{"type": "run.failed", "id": "1"}')
        tocsin = await start(TOCSIN_BUS_URL=url(own))
        await counted(tocsin, accepted=1)
        await client.close()
        own.kill()
        (bus,) = tocsin.app.buses
        await until(lambda: bus.away, "away")
        ready = await tocsin.client.get("/readyz")
        assert ready.status == 200
        assert "nats/EVENTS is not read" in ready.json["warnings"][-1]
        await tocsin.send(id="2")  # HTTP goes on
        own.start()
        client = await nats.connect(f"nats://127.0.0.1:{own.port}")
        await client.jetstream().publish("events", b'{"type": "run.failed", "id": "3"}')
        await counted(tocsin, accepted=2)
        await client.close()
        await until(lambda: not bus.away, "back")
        assert b"is not read" not in (await tocsin.client.get("/readyz")).body
        await tocsin.worker.stop()


async def test_large_messages_are_taken_a_few_at_a_time_and_too_large_ones_set_aside(
    start: Start, broker: Broker, js: JetStreamContext, logs: list[dict[str, Any]]
) -> None:
    text = "x" * 15_000
    large = {"events": [{"type": "load.one", "message": text} for _ in range(40)]}  # 600 KB: 30 of them are 18 MB
    for _ in range(30):
        await js.publish("events", json.dumps(large).encode())
    await js.publish("events", json.dumps({"events": large["events"] + large["events"][:10]}).encode())
    tocsin = await start(TOCSIN_BUS_URL=url(broker), TOCSIN_MAX_BODY_BYTES="650000")
    await counted(tocsin, accepted=1200, refused=1)
    assert not [entry for entry in logs if entry["event"] == "bus.away"]
    (found,) = await refused(tocsin)
    assert "at most 650000" in found["reason"]
    await acknowledged(js)


async def test_a_long_backlog_is_read_over_one_connection(
    start: Start, broker: Broker, js: JetStreamContext, logs: list[dict[str, Any]]
) -> None:
    for number in range(2600):
        await js.publish("events", json.dumps({"type": "load.one", "id": str(number)}).encode())
    tocsin = await start(TOCSIN_BUS_URL=url(broker))
    await counted(tocsin, accepted=2600, duplicate=0)
    await acknowledged(js)
    assert not [entry for entry in logs if entry["event"] == "bus.away"]


async def test_a_tenants_limit_holds_and_what_is_over_waits_at_the_bus(
    start: Start, broker: Broker, js: JetStreamContext
) -> None:
    for number in range(1200):
        await js.publish("events", json.dumps({"type": "load.one", "id": str(number)}).encode())
    tocsin = await start(TOCSIN_BUS_URL=url(broker), TOCSIN_LIMIT_EVENTS_PER_DAY="400")
    (bus,) = tocsin.app.buses
    await until(lambda: "(events_per_day)" in bus.away, "the limit is reached")
    assert 400 <= bus.counts["accepted"] <= 900
    assert (await js.consumer_info("EVENTS", "tocsin")).num_ack_pending + bus.counts["accepted"] <= 1200
