"""Events over NATS JetStream, one in each message, beside the same events over HTTP in batches of 100: published,
stored, delivered and recorded. The same Tocsin, endpoint and rule; rounds alternate.

Besides load, sink and store the two cores carry the NATS server, which writes each message to its disk, too.
"""

import asyncio
import statistics
import time
from collections.abc import Iterator

import nats

from benchmarks import load
from benchmarks.figure import Figure
from benchmarks.systems import Bench, Tocsin
from benchmarks.throughput import WARM_UP, measure
from tests.brokers import nats_server

HOLD = 0.5
HTTP_BATCH = 100


class WithBus(Tocsin):
    """Reads a stream beside HTTP."""

    name = "bus"
    bus_port = 0

    def env(self) -> dict[str, str]:
        return super().env() | {"TOCSIN_BUS_URL": f"nats://127.0.0.1:{self.bus_port}/EVENTS"}


def run(bench: Bench, store: str) -> Iterator[Figure]:
    with nats_server(bench.folder / f"nats-{store}") as broker, bench.new(WithBus, store) as ours:
        asyncio.run(add_stream(broker.port))
        ours.bus_port = broker.port
        ours.start()
        ours.add_one_endpoint()
        over_bus(ours, WARM_UP)
        events = max(WARM_UP, int(measure(ours, WARM_UP, HTTP_BATCH).per_s * bench.seconds / HTTP_BATCH) * HTTP_BATCH)
        pairs = [(over_bus(ours, events), measure(ours, events, HTTP_BATCH).per_s) for _ in range(bench.rounds)]
    ratio = statistics.median(bus / http for bus, http in pairs)
    yield Figure(
        name=f"{store}, over JetStream",
        ours=statistics.median(bus for bus, _ in pairs),
        limit=statistics.median(http for _, http in pairs),
        ratio=ratio,
        unit="/s",
        hold=f"≥ {HOLD:.0%} of HTTP",
        held=ratio >= HOLD,
        note=f"limit: HTTP in batches of {HTTP_BATCH}",
        detail={"rounds": pairs},
    )


async def add_stream(port: int) -> None:
    client = await nats.connect(f"nats://127.0.0.1:{port}")
    await client.jetstream().add_stream(name="EVENTS", subjects=["events"])
    await client.close()


def over_bus(system: WithBus, events: int) -> float:
    """Events per second, from the first that is published to the last that is recorded."""
    system.sink.reset()
    began = time.monotonic()
    asyncio.run(publish(system.bus_port, system.sent + 1, events))
    system.sent += events
    system.wait_until_done(events)
    seconds = time.monotonic() - began
    received = system.sink.stats()
    if received.distinct != events:
        raise RuntimeError(f"{events} events were published, {received.distinct} messages came")
    return events / seconds


async def publish(port: int, first: int, events: int) -> None:
    """As fast as the server takes them; it has them all when this returns."""
    client = await nats.connect(f"nats://127.0.0.1:{port}")
    stream = client.jetstream(publish_async_max_pending=1000)
    plan = load.Plan(url="", events=events, first=first)
    for index in range(events):
        body = load.body_of(plan, index, time.monotonic_ns())
        await stream.publish_async("events", body, wait_stall=30)
    await stream.publish_async_completed()
    await client.close()
