"""Events over NATS JetStream, one in each message, beside the same events over HTTP, one in each request: published,
stored, delivered and recorded. The same Tocsin, endpoint and rule; rounds alternate. What is judged is what an event
costs Tocsin.

Besides load, sink and store the two cores carry the NATS server, which has each message on its disk before it says so.
"""

import asyncio
import statistics
import time
from collections.abc import Iterator

import nats
from msgspec import Struct, to_builtins

from benchmarks import load
from benchmarks.figure import Figure
from benchmarks.systems import Bench, Tocsin
from benchmarks.throughput import WARM_UP, measure
from tests.brokers import nats_server

HOLD = 1.0


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
        events = max(WARM_UP, int(measure(ours, WARM_UP, 1).per_s * bench.seconds))
        rounds = [(over_bus(ours, events), measure(ours, events, 1)) for _ in range(bench.rounds)]
    ours_us, http_us = (
        statistics.median(found) for found in zip(*((b.cpu_us, h.cpu_us) for b, h in rounds), strict=True)
    )
    ratio = statistics.median(bus.cpu_us / http.cpu_us for bus, http in rounds)
    bus_per_s = statistics.median(bus.per_s for bus, _ in rounds)
    http_per_s = statistics.median(http.per_s for _, http in rounds)
    yield Figure(
        name=f"{store}, over JetStream: CPU",
        ours=ours_us,
        limit=http_us,
        ratio=ratio,
        unit="µs",
        hold=f"≤ {HOLD:.1f} × HTTP",
        held=ratio <= HOLD,
        note=f"an event, one by one; {bus_per_s:,.0f}/s, over HTTP {http_per_s:,.0f}/s",
        detail={"rounds": [{"bus": to_builtins(bus), "http": to_builtins(http)} for bus, http in rounds]},
    )


class Read(Struct):
    """`cpu_us`: of all of Tocsin's processes, for each event."""

    per_s: float
    cpu_us: float


async def add_stream(port: int) -> None:
    client = await nats.connect(f"nats://127.0.0.1:{port}")
    await client.jetstream().add_stream(name="EVENTS", subjects=["events"])
    await client.close()


def over_bus(system: WithBus, events: int) -> Read:
    """From the first that is published to the last that is recorded."""
    system.sink.reset()
    cpu_s = system.cpu_s()[0]
    began = time.monotonic()
    asyncio.run(publish(system.bus_port, system.sent + 1, events))
    system.sent += events
    system.wait_until_done(events)
    seconds = time.monotonic() - began
    received = system.sink.stats()
    if received.distinct != events:
        raise RuntimeError(f"{events} events were published, {received.distinct} messages came")
    return Read(events / seconds, (system.cpu_s()[0] - cpu_s) / events * 1e6)


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
