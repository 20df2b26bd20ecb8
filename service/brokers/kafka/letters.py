"""The dead letters in their topic, by partition and offset.

Kafka removes no single record. A tombstone, a record with the letter's key and nothing in it, takes a letter
off the list at once; where the topic is compacted it goes for good at the next compaction.
"""

from collections.abc import AsyncIterator, Sequence

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from service.brokers.kafka.connection import connection_options, errors, keep_quiet, within
from service.brokers.kafka.producer import Producer
from service.brokers.kafka.topics import Topics
from service.domain.message import Outgoing
from service.events.models import DEAD_LETTER_CHANNEL


class KafkaLetters:
    """The letter box of one cluster. See `port.LetterBox`."""

    purge_note = "Kafka keeps them until its next compaction: image.dead-letter needs cleanup.policy=compact"

    def __init__(self, url: str) -> None:
        keep_quiet()
        self._options = connection_options(url)
        self._topics = Topics(self._options)
        self._producer = Producer(self._options)
        self._keys: dict[str, bytes] = {}

    async def count(self) -> int:
        """See `port.LetterBox`. Removed ones and tombstones count as well."""
        async with errors():
            consumer, partitions = await self._reader()
            try:
                first = await within(consumer.beginning_offsets(partitions))
                last = await within(consumer.end_offsets(partitions))
            finally:
                await consumer.stop()
        return sum(last[one] - first[one] for one in partitions)

    async def entries(self) -> AsyncIterator[tuple[str, bytes]]:
        """See `port.LetterBox`. Oldest first within a partition. Twice through the topic: what is removed has
        to be known first, and bodies are too big to be kept.
        """
        removed: dict[bytes, int] = {}
        async for record in self._all():
            if record.value is None and record.key is not None:
                removed[record.key] = record.offset
        async for record in self._all():
            # A key lies in one partition, so its offsets tell what came later.
            if record.value is None or record.offset < removed.get(record.key or b"", -1):
                continue
            entry = f"{record.partition}:{record.offset}"
            self._keys[entry] = record.key or b""
            yield entry, record.value

    async def body(self, entry: str) -> bytes | None:
        """See `port.LetterBox`."""
        partition, _, offset = entry.partition(":")
        where = TopicPartition(DEAD_LETTER_CHANNEL, int(partition))
        async with errors():
            consumer, _ = await self._reader()
            try:
                consumer.seek(where, int(offset))
                record = await within(consumer.getone(where))
            finally:
                await consumer.stop()
        body: bytes | None = record.value
        return body if record.offset == int(offset) else None

    async def resend(self, entries: Sequence[str], message: Outgoing) -> str | None:
        """See `port.LetterBox`."""
        async with errors():
            (where,) = await self._producer.publish([message])
        await self.remove(entries)
        return f"{where.partition}:{where.offset}"

    async def remove(self, entries: Sequence[str]) -> int:
        """See `port.LetterBox`."""
        keys = list(dict.fromkeys(self._keys[entry] for entry in entries))
        async with errors():
            await self._producer.publish([(DEAD_LETTER_CHANNEL, key) for key in keys])
        return len(entries)

    async def close(self) -> None:
        """Close every connection."""
        await self._producer.close()
        await self._topics.close()

    async def _reader(self) -> tuple[AIOKafkaConsumer, list[TopicPartition]]:
        await self._topics.ensure()
        partitions = await self._topics.partitions(DEAD_LETTER_CHANNEL)
        consumer = AIOKafkaConsumer(**self._options, enable_auto_commit=False)
        try:
            await within(consumer.start())
        except BaseException:
            await consumer.stop()
            raise
        consumer.assign(partitions)
        return consumer, partitions

    async def _all(self) -> AsyncIterator[ConsumerRecord[bytes, bytes]]:
        async with errors():
            consumer, partitions = await self._reader()
        try:
            async with errors():
                await within(consumer.seek_to_beginning(*partitions))
                ends = await within(consumer.end_offsets(partitions))
                left = {one for one in partitions if await within(consumer.position(one)) < ends[one]}
            while left:
                async with errors():
                    found = await consumer.getmany(*left, timeout_ms=1000)
                    if not found:
                        await self._topics.partitions()  # proves that the cluster is there
                for records in found.values():
                    for record in records:
                        yield record
                async with errors():
                    left = {one for one in left if await within(consumer.position(one)) < ends[one]}
        finally:
            await consumer.stop()
