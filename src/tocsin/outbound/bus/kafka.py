"""Kafka: a consumer group that all processes share; offsets are committed for what is done with.

https://kafka.apache.org/documentation/#consumerconfigs
"""

import contextlib
import ssl

from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.errors import CommitFailedError, IllegalStateError
from aiokafka.structs import TopicPartition

from tocsin.model.bus import BusAddress, BusMessage
from tocsin.outbound.bus.headers import as_headers

REQUEST_MS = 10_000


class KafkaTopic:
    """A group that is new begins with the oldest message that there is. With a user it is SASL: PLAIN where `sasl` does
    not say SCRAM-SHA-256 or SCRAM-SHA-512."""

    def __init__(self, address: BusAddress, tls: ssl.SSLContext | None) -> None:
        self.address = address
        self.tls = tls
        self.consumer: AIOKafkaConsumer | None = None

    async def connect(self) -> None:
        given = self.address
        self.consumer = AIOKafkaConsumer(
            given.path,
            bootstrap_servers=list(given.hosts),
            client_id="tocsin",
            group_id=given.options.get("group", "tocsin"),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            request_timeout_ms=REQUEST_MS,
            ssl_context=self.tls,
            security_protocol=("SASL_" if given.user else "") + ("SSL" if given.tls else "PLAINTEXT"),
            sasl_mechanism=given.options.get("sasl", "PLAIN"),
            sasl_plain_username=given.user or None,
            sasl_plain_password=given.password or None,
        )
        await self.consumer.start()

    async def fetch(self, most: int, wait_s: float) -> list[BusMessage]:
        assert self.consumer is not None
        found = await self.consumer.getmany(timeout_ms=round(wait_s * 1000), max_records=most)
        return [as_bus_message(record) for records in found.values() for record in records]

    async def acknowledge(self, messages: list[BusMessage]) -> None:
        """Where the group was divided anew meanwhile, they come again, to whomever has the partition now."""
        assert self.consumer is not None
        offsets: dict[TopicPartition, int] = {}
        for message in messages:
            partition, offset = message.handle
            offsets[partition] = offset + 1
        with contextlib.suppress(CommitFailedError):
            await self.consumer.commit(offsets)

    async def lag(self) -> int | None:
        """Of the partitions that this process has."""
        assert self.consumer is not None
        behind = 0
        for partition in self.consumer.assignment():
            if (end := self.consumer.highwater(partition)) is not None:
                try:
                    behind += max(0, end - await self.consumer.position(partition))
                except IllegalStateError:  # somebody else has it by now
                    continue
        return behind

    async def close(self) -> None:
        consumer, self.consumer = self.consumer, None
        if consumer is not None:
            await consumer.stop()


def as_bus_message(record: ConsumerRecord[bytes, bytes]) -> BusMessage:
    """A position has the message's time: in a topic that was made anew offsets begin anew."""
    headers = as_headers({name: value.decode("utf-8", "replace") for name, value in record.headers})
    position = f"{record.topic}/{record.partition}/{record.offset}/{record.timestamp}"
    handle = (TopicPartition(record.topic, record.partition), record.offset)
    return BusMessage(record.value or b"", headers, position, handle)
