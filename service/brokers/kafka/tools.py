"""What the command line does with a Kafka cluster, outside any group."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer

from service.brokers.kafka.connection import connection_options, errors, keep_quiet, within
from service.brokers.kafka.producer import Producer
from service.brokers.kafka.topics import Topics
from service.domain.message import Outgoing


class KafkaTools:
    """Publishes, and follows topics. See `port.Tools`."""

    def __init__(self, url: str) -> None:
        keep_quiet()
        self._options = connection_options(url)
        self._topics = Topics(self._options)
        self._producer = Producer(self._options)

    async def publish(self, messages: Sequence[Outgoing]) -> list[str]:
        """See `port.Tools`."""
        async with errors():
            await self._topics.ensure()
            return [f"{where.partition}:{where.offset}" for where in await self._producer.publish(messages)]

    @asynccontextmanager
    async def follow(
        self, channels: Sequence[str], *, from_start: bool
    ) -> AsyncIterator[AsyncIterator[tuple[str, str, bytes]]]:
        """See `port.Tools`."""
        consumer = AIOKafkaConsumer(**self._options, enable_auto_commit=False)
        try:
            async with errors():
                await self._topics.ensure()
                partitions = await self._topics.partitions(*channels)
                await within(consumer.start())
                consumer.assign(partitions)
                seek = consumer.seek_to_beginning if from_start else consumer.seek_to_end
                await within(seek(*partitions))
            yield self._records(consumer)
        finally:
            await consumer.stop()

    async def _records(self, consumer: AIOKafkaConsumer) -> AsyncIterator[tuple[str, str, bytes]]:
        while True:
            async with errors():
                found = await consumer.getmany(timeout_ms=1000)
                if not found:
                    await self._topics.partitions()  # proves that the cluster is there
            for records in found.values():
                for record in records:
                    yield record.topic, f"{record.partition}:{record.offset}", record.value or b""

    async def close(self) -> None:
        """Close every connection."""
        await self._producer.close()
        await self._topics.close()
