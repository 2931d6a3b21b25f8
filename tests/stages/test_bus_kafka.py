"""Events that come over Kafka: the protocol as librdkafka's mock cluster speaks it, with groups and offsets."""

import json

import pytest

from tests.brokers import MockKafka
from tests.harness import Start
from tests.stages.bus_checks import counted, events, refused
from tocsin.model.bus import BusMessage
from tocsin.outbound.bus.address import parse_bus_urls
from tocsin.outbound.bus.kafka import KafkaTopic
from tocsin.stages.bus import drafts_of

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("store", ["sqlite"], indirect=True)]


@pytest.fixture(scope="module")
def kafka() -> MockKafka:
    return MockKafka()


async def test_every_shape_is_understood_and_what_comes_again_is_known(
    start: Start, kafka: MockKafka, request: pytest.FixtureRequest
) -> None:
    topic = request.node.name.replace("[", "-").rstrip("]")
    kafka.send(topic, json.dumps({"type": "run.failed", "id": "1"}).encode())
    kafka.send(topic, json.dumps({"type": "run.failed", "pipeline": "etl"}).encode())
    binary = {"ce_specversion": b"1.0", "ce_id": b"3", "ce_source": b"/acme", "ce_type": b"run.failed"}
    binary |= {"ce_team": "café 100%41".encode(), "content-type": b"application/json"}
    kafka.send(topic, b'{"rows": 3}', list(binary.items()))
    kafka.send(topic, b"poison")
    kafka.send(topic, None)
    kafka.flush()
    url = f"kafka://127.0.0.1:{kafka.port}/{topic}"
    tocsin = await start(TOCSIN_BUS_URL=f"{url}?group=one")
    await counted(tocsin, accepted=3, refused=2)
    found = {event["id"]: event for event in await events(tocsin)}
    assert {"1", "3"} < set(found)
    (made,) = set(found) - {"1", "3"}
    assert made.startswith(f"kafka:{topic}/")
    assert found["3"]["labels"] == {"ce_team": "café 100%41"}
    assert {item["body"] for item in await refused(tocsin)} == {"poison", ""}
    (bus,) = tocsin.app.buses
    await bus.stop(5)
    assert kafka.committed("one", topic) == 5
    # another process of another group begins at the beginning, and so does one whose commit was lost
    for record in await bus_messages(f"{url}?group=two"):
        drafts = drafts_of(record, "kafka") if record.body.startswith(b"{") else []
        receipts = await tocsin.app.intake.accept("default", drafts) if drafts else []
        assert all(receipt.duplicate for receipt in receipts)


async def bus_messages(url: str) -> list[BusMessage]:
    (address,) = parse_bus_urls(url)
    bus = KafkaTopic(address, None)
    await bus.connect()
    found: list[BusMessage] = []
    while len(found) < 5:
        found += await bus.fetch(500, 0.5)
    assert await bus.lag() == 0
    await bus.close()
    return found
