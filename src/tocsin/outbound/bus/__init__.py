"""Event buses: an adapter each, with the client that the extra of its name brings.

An adapter only moves bytes: `connect`, `fetch`, `acknowledge`, `lag`, `close`, and every one of them may raise whatever
its client raises: then the connection is given up and made anew. What a message means and when it is done with is said
in stages/bus.py.
"""

import ssl
from typing import Protocol

from tocsin.model.bus import BusAddress, BusMessage


class Bus(Protocol):
    """A reader of one stream, topic or queue, which may share it with those of other processes."""

    async def connect(self) -> None:
        """Anew, after `close` or at first. Raises where the bus or what is to be read is not there."""

    async def fetch(self, most: int, wait_s: float) -> list[BusMessage]:
        """What is there, in order and at most so many; waits so long for the first where there is none."""

    async def acknowledge(self, messages: list[BusMessage]) -> None:
        """They are done with and never come again: those of one `fetch`, all of them."""

    async def lag(self) -> int | None:
        """How many messages wait at the bus; None where it does not say."""

    async def close(self) -> None:
        """What was not acknowledged comes again, here or in another process."""


class MissingClient(Exception):
    """The client of this bus is not installed; says how to."""


def bus_of(address: BusAddress, tls: ssl.SSLContext | None, ca_file: str, reader: str) -> Bus:
    """The adapter, not connected yet. `reader` is this process's name in its group. Raises MissingClient."""
    try:
        if address.kind == "nats":
            from tocsin.outbound.bus.nats import JetStream

            return JetStream(address, tls)
        if address.kind == "kafka":
            from tocsin.outbound.bus.kafka import KafkaTopic

            return KafkaTopic(address, tls)
        if address.kind == "amqp":
            from tocsin.outbound.bus.rabbitmq import RabbitQueue

            return RabbitQueue(address, tls)
        from tocsin.outbound.bus.redis import RedisStream

        return RedisStream(address, ca_file, reader)
    except ImportError as error:
        raise MissingClient(
            f"TOCSIN_BUS_URL: {address.kind}:// needs a client that is not installed ({error.name}): "
            f"pip install 'tocsin[{EXTRAS[address.kind]}]'"
        ) from error


EXTRAS = {"nats": "nats", "kafka": "kafka", "amqp": "rabbitmq", "redis": "redis"}
