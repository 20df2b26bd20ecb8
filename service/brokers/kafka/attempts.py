"""How often the first message of a partition has been begun: Kafka counts no deliveries.

The count stands beside the group's offset, as its metadata: how often reading began there. Any progress ends
it, and so does giving a partition up in order. What is left over is what a killed reader did not get past.
"""

from collections.abc import Callable
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.structs import OffsetAndMetadata

from service.brokers.kafka.topics import Topics


class _Begun(NamedTuple):
    offset: int
    before: int
    """How often reading had begun there before."""


class Attempts(ConsumerRebalanceListener):  # type: ignore[misc]  # it has no types
    """The counts of one consumer's partitions."""

    def __init__(self, topics: Topics, group: str, consumer: Callable[[], AIOKafkaConsumer | None]) -> None:
        """`consumer` tells whose partitions these are, None for nobody's."""
        self._topics = topics
        self._group = group
        self._begun: dict[TopicPartition, _Begun] = {}
        self._consumer = consumer

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Count one more attempt, before the first message is seen."""
        consumer = self._consumer()
        if consumer is None or not assigned:
            return
        committed = await self._topics.committed(self._group, list(assigned))
        unknown = [one for one in assigned if one not in committed]
        first = await consumer.beginning_offsets(unknown) if unknown else {}
        offsets: dict[TopicPartition, OffsetAndMetadata] = {}
        for partition in assigned:
            found = committed.get(partition, OffsetAndMetadata(first.get(partition, 0), ""))
            before = int(found.metadata) if found.metadata.isdigit() else 0
            self._begun[partition] = _Begun(found.offset, before)
            offsets[partition] = OffsetAndMetadata(found.offset, str(before + 1))
        await consumer.commit(offsets)

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Take the attempt back where nothing has come of it: the partition is given up in order."""
        await self.give_up(revoked)

    async def give_up(self, partitions: set[TopicPartition] | None = None) -> None:
        """Take back the attempts of these partitions, or of all."""
        offsets = {
            partition: OffsetAndMetadata(begun.offset, str(begun.before))
            for partition, begun in self._begun.items()
            if partitions is None or partition in partitions
        }
        for partition in offsets:
            del self._begun[partition]
        consumer = self._consumer()
        if offsets and consumer is not None:
            await consumer.commit(offsets)

    def deliveries(self, partition: TopicPartition, offset: int) -> int:
        """How often a message has been delivered, this time included, as far as that is known."""
        begun = self._begun.get(partition)
        if begun is None or not begun.before:
            return 1
        return begun.before + 1 if offset == begun.offset else 2

    def progress(self, partition: TopicPartition) -> None:
        """Something of this partition has been acked."""
        self._begun.pop(partition, None)
