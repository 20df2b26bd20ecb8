"""Reading both topics as one member of the group.

The client can't be called from two threads at once, so it has a thread of its own. Finished messages are
committed with each poll.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from time import monotonic
from typing import TypeVar

import structlog
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from image_moderation.brokers.calls import TIMEOUT
from image_moderation.brokers.kafka.connection import PREFETCHED_KILOBYTES, consumer_settings, errors
from image_moderation.brokers.kafka.messages import Batch, PartitionOffsets, offset_of, place_of, size_of
from image_moderation.brokers.kafka.topology import Place, about
from image_moderation.brokers.port import INCOMING, Options
from image_moderation.brokers.reader import MOST_IN_HAND, Reader, Subscriber

LANES = 3
"""That read: so many that one has a batch to parse while others wait for the store."""
POLL = 0.1
"""Seconds that a poll waits for a first message. Commits and rebalances wait for its end."""
GATHERING = 0.003
"""Seconds that further messages may take to make it a batch."""
BATCH_BYTES = (MOST_IN_HAND - PREFETCHED_KILOBYTES * 1024) // (LANES + 1)
"""Of what is read at once: one for each lane, and one to come."""
STEP = 10
"""Messages after which their bytes are counted."""
HOLD_AFTER = 1.0
"""Seconds without a poll after which every lane counts as busy."""
COMMIT_AGAIN = 5.0
"""Seconds after which offsets are committed again that have not moved: a commit may have been lost."""

T = TypeVar("T")

log = structlog.get_logger(__name__)


class KafkaReader(Reader):
    """A member of the group, which reads both channels.

    One more lane, the last, reads nothing: it keeps the membership while all others are busy.
    """

    def __init__(self, subscriber: Subscriber, options: Options) -> None:
        """Nothing is connected before the first poll."""
        super().__init__(",".join(INCOMING), subscriber, lanes=LANES + 1, errors=errors)
        self.partitions: dict[Place, PartitionOffsets] = {}
        """This process's share. Another dictionary after each rebalance."""
        self._joined = False
        self._unknown: list[TopicPartition] = []
        """Of its share, those of which it could not yet be asked where the group stands."""
        self._settings = consumer_settings(options)
        self._batch_size = options.batch_size
        self._thread = ThreadPoolExecutor(1, "kafka-consumer")
        self._consumer: Consumer | None = None
        self._turn = asyncio.Lock()
        self._ready: deque[Batch] = deque()
        self._polled_at = 0.0
        self._committed_at = 0.0
        self._held = False

    @property
    def failure(self) -> str:
        waits = "" if self._joined else "the group has not given this process its partitions yet"
        return super().failure or waits

    async def next_batch(self, lane: int) -> Batch | None:
        if lane == LANES:
            await self._keep_membership()
            return None
        async with self._turn:
            if not self._ready:
                self._polled_at = monotonic()
                self._ready += await self._in_thread(self._poll)
            return self._ready.popleft() if self._ready else None

    async def _keep_membership(self) -> None:
        """Poll where no lane does. Else each rebalance would wait for this process, and after five minutes
        the group would exclude it.
        """
        await asyncio.sleep(HOLD_AFTER)
        async with self._turn:
            if monotonic() - self._polled_at >= HOLD_AFTER:
                self._ready += await self._in_thread(lambda: self._poll(hold=True))

    async def recover(self) -> None:
        """See `Reader`. The batch of a lane that died would hold back the commit for ever.

        A new member of the group begins at the committed offset, so that batch comes again.
        """
        await self.leave()

    async def leave(self) -> None:
        """Commit finished messages, and leave the group. Harmless if it is left already."""
        async with self._turn:
            self._ready.clear()
            await self._in_thread(self._close)

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def _open(self) -> Consumer:
        if self._consumer is None:
            self._consumer = Consumer(self._settings)
            self._consumer.subscribe(
                list(INCOMING), on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost
            )
        return self._consumer

    def _close(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.close()
            self._joined = False

    def _poll(self, *, hold: bool = False) -> list[Batch]:
        """Commit, and read. With `hold` reading is paused; at most a message that was on its way comes."""
        consumer = self._open()
        self._ask_standing(consumer)
        self._commit(consumer)
        if hold:
            consumer.pause(consumer.assignment())
        elif self._held:
            consumer.resume(consumer.assignment())
        self._held = hold
        return self._hand_out(self._messages(consumer, 1 if hold else self._batch_size))

    def _messages(self, consumer: Consumer, most: int) -> Iterator[Message]:
        """Give the first message before the client is called again: that call may revoke its partition."""
        first = consumer.poll(POLL)
        if first is None:
            return
        error = first.error()
        if error is not None:
            raise about(first.topic() or "", error)
        yield first
        number, size = 1, size_of(first)
        while number < most and size < BATCH_BYTES:
            asked = min(STEP, most - number)
            found = consumer.consume(asked, GATHERING)
            yield from (message for message in found if message.error() is None)
            if len(found) < asked:
                return
            number, size = number + asked, size + sum(map(size_of, found))

    def _hand_out(self, messages: Iterator[Message]) -> list[Batch]:
        batches: dict[str, Batch] = {}
        for message in messages:
            place = place_of(message)
            if place not in self.partitions:  # revoked meanwhile
                continue
            offsets, offset = self.partitions[place], offset_of(message)
            if offsets.next is not None and offset < offsets.next:
                # The client never goes back by itself: the topic was created again or truncated.
                offsets = self.partitions[place] = _restarted(*place, offset)
            batches.setdefault(place[0], Batch()).add(message, offsets)
        return list(batches.values())

    def _commit(self, consumer: Consumer, *, again: bool = False) -> None:
        """Send the offsets that have moved. No call waits for the answer: a lost commit is sent again."""
        if monotonic() - self._committed_at >= COMMIT_AGAIN:
            again = True
            self._committed_at = monotonic()
        due = [
            TopicPartition(*place, offset)
            for place, offsets in self.partitions.items()
            if (offset := offsets.to_commit(again=again)) is not None
        ]
        if due:
            consumer.commit(offsets=due, asynchronous=True)

    # The client calls `_assigned`, `_revoked` and `_lost` while it is polled. None may let a KafkaException
    # out: confluent-kafka 2.16.1 raises it again as an object that is no exception. Nothing catches that, the
    # thread ends, and this process would wait for its share for ever.

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Take a share."""
        self.partitions = {(one.topic, one.partition): PartitionOffsets() for one in partitions}
        self._unknown = partitions
        self._joined = True
        with suppress(KafkaException):  # the next poll asks again
            self._ask_standing(consumer)

    def _ask_standing(self, consumer: Consumer) -> None:
        """Ask where the group stands in partitions of which that is not known, and nothing was handed out."""
        share = self.partitions
        if asked := [one for one in self._unknown if share[one.topic, one.partition].next is None]:
            for one in consumer.committed(asked, timeout=TIMEOUT):
                share[one.topic, one.partition] = self._standing(consumer, one)
        self._unknown = []

    def _standing(self, consumer: Consumer, committed: TopicPartition) -> PartitionOffsets:
        """Return where the group stands in a partition: at its beginning if the offset lies behind its end.

        The topic was then created again or truncated. The client reads from the beginning, but the group
        would stand there only after the first report: a topic that fills up before the next start would be
        skipped up to the old offset.
        """
        if committed.offset <= 0:
            return PartitionOffsets(0)
        begin, end = consumer.get_watermark_offsets(committed, timeout=TIMEOUT)
        if committed.offset <= end:
            return PartitionOffsets(committed.offset)
        return _restarted(committed.topic, committed.partition, begin)

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Commit finished messages, and give the share back. The client waits for the commit's answer."""
        with suppress(KafkaException):  # what was not committed is given to another reader
            self._commit(consumer, again=True)
        self._lost(consumer, partitions)

    def _lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Forget the share: others may have it already."""
        self.partitions, self._unknown = {}, []
        self._joined = False
        with suppress(KafkaException):
            consumer.resume(partitions)  # or they would still be paused when they come back to this process


def _restarted(topic: str, partition: int, offset: int) -> PartitionOffsets:
    """Return where the group stands in a partition that is read from `offset` again."""
    log.warning("partition_restarted", channel=topic, partition=partition, offset=offset)
    return PartitionOffsets.moved_to(offset)
