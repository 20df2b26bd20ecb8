"""What the topics still hold: partitions are assigned without a group, and read up to their ends of now.

Each partition is in the order of arrival, so they are joined as sorted files are. A partition of which enough
waits is paused until the others have caught up.
"""

from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import Any

from confluent_kafka import Consumer, Message, TopicPartition

from image_moderation.brokers.history import merged
from image_moderation.brokers.kafka.connection import errors
from image_moderation.brokers.kafka.messages import Batch, PartitionOffsets, offset_of, place_of
from image_moderation.brokers.kafka.reading import assigned, is_end, pages
from image_moderation.brokers.kafka.topology import Place
from image_moderation.domain.errors import BrokerUnavailable
from image_moderation.domain.message import RawMessage

MOST_WAITING = 5_000
"""Records of one partition that wait for the others before it is paused."""
PATIENCE = 50
"""Empty pages, 0.2 s each, after which the cluster counts as away."""


async def history(
    settings: Mapping[str, Any], begin: Mapping[Place, int], end: Mapping[Place, int]
) -> AsyncIterator[RawMessage]:
    """Give the records of partitions from one offset up to another. See `port.BrokerClient`."""
    left = {place: offset for place, offset in begin.items() if offset < end[place]}
    if not left:
        return
    async with assigned(settings, left) as consumer:
        shares = {place: _Share() for place in left}
        source = _Source(consumer, shares, end)
        async for message in merged([source.records(share) for share in shares.values()]):
            yield message


class _Share:
    """What has been read of one partition and not been given out."""

    def __init__(self) -> None:
        self.waiting: deque[RawMessage] = deque()
        self.ended = False
        self.paused = False


class _Source:
    """Reads all partitions together, and gives the records of each."""

    def __init__(self, consumer: Consumer, shares: Mapping[Place, _Share], end: Mapping[Place, int]) -> None:
        self._consumer = consumer
        self._pages = pages(consumer)
        self._shares = shares
        self._end = end

    async def records(self, share: _Share) -> AsyncIterator[RawMessage]:
        """Give the records of one partition, and read on while it has none."""
        empty = 0
        while share.waiting or not share.ended:
            if share.waiting:
                yield share.waiting.popleft()
                continue
            self._hold()
            with errors():
                page = await anext(self._pages)
            empty = 0 if page else empty + 1
            if empty >= PATIENCE:
                raise BrokerUnavailable("the cluster gives no records, though it has some")
            self._take(page)

    def _hold(self) -> None:
        """Pause the partitions of which enough waits, and resume the others."""
        for place, share in self._shares.items():
            pause = len(share.waiting) >= MOST_WAITING
            if pause is not share.paused and not share.ended:
                change = self._consumer.pause if pause else self._consumer.resume
                change([TopicPartition(*place)])
                share.paused = pause

    def _take(self, page: list[Message]) -> None:
        for message in page:
            place = place_of(message)
            share, end = self._shares[place], self._end[place]
            # Transactions leave offsets without a record, so the last one may never come.
            offset = offset_of(message)
            if not is_end(message) and offset < end:
                batch = Batch()
                batch.add(message, PartitionOffsets())
                share.waiting += batch.decoded
            share.ended = share.ended or offset + (not is_end(message)) >= end
