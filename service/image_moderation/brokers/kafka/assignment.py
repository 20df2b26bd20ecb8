"""The partitions that this process has, and what of each is done: Kafka knows but one number for both.

What is committed is the first offset that is not done. Kafka doesn't count deliveries; so with the offset
goes how often somebody began to work there, as `starts=2` in its metadata. A reader that was killed leaves
that behind, one that gives a partition back in order takes its own start off again.

The client calls `assigned`, `revoked`, `lost` and `committed` while it is polled, which is in another thread
than the event loop's. Reading and polling take turns; only `Ledger.done` may come at any time.
"""

import random
import re
from collections.abc import Sequence
from contextlib import suppress

import structlog
from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException, Message, TopicPartition

from image_moderation.brokers.kafka.connection import PATIENCE
from image_moderation.brokers.kafka.topology import Place
from image_moderation.domain.message import NO_HEADERS, RawMessage

_STARTS = re.compile(r"starts=([0-9]{1,6})")

log = structlog.get_logger(__name__)


class Ledger:
    """One partition, from its assignment to its end."""

    __slots__ = ("head", "next", "pending", "place", "requested", "starts")

    def __init__(self, place: Place, begin: int | None, starts: int) -> None:
        self.place = place
        self.next = begin
        """The offset after the last one handed over; None as long as it isn't known."""
        self.head: int | None = None
        """The first offset handed over."""
        self.starts = starts
        """How often somebody began to work at the first offset that isn't done, this time included."""
        self.pending: dict[int, int | None] = {}
        """Offsets handed over and not done, in order, with the time of each."""
        self.requested: int | None = None
        """The offset that was last sent to be committed."""

    def take(self, offset: int, arrived: int | None) -> int:
        """Note that a message is handed over; return how often that has happened, as far as is known."""
        self.next = offset + 1
        self.pending[offset] = arrived
        if self.head is None:
            self.head = offset
            return self.starts
        # Of what comes after the head nobody knows whether an earlier start came so far.
        return min(self.starts, 2)

    def done(self, offset: int) -> None:
        """Note that a message is done with."""
        self.pending.pop(offset, None)
        if self.starts > 1 and self.head is not None and self.first_not_done() > self.head:
            self.starts = 1

    @property
    def suspect(self) -> bool:
        """Whether what is in hand may have ended a reader before."""
        return self.starts > 1 and bool(self.pending)

    def first_not_done(self) -> int:
        """What to commit."""
        return min(list(self.pending), default=self.next or 0)

    def due(self) -> TopicPartition | None:
        """What has to be committed now, if anything."""
        if self.head is None or (offset := self.first_not_done()) == self.requested:
            return None
        self.requested = offset
        return TopicPartition(*self.place, offset, _metadata(self.starts))

    def farewell(self) -> TopicPartition:
        """What to commit when the partition is given back in order: nobody was killed by it."""
        starts = max(self.starts - 1, 1) if self.pending else 0
        return TopicPartition(*self.place, self.first_not_done(), _metadata(starts))


def _metadata(starts: int) -> str:
    return f"starts={starts}"


def _starts(metadata: str | None) -> int:
    match = _STARTS.fullmatch(metadata or "")
    return int(match[1]) if match else 0


class Assignment:
    """All that this process has now."""

    def __init__(self) -> None:
        self.ledgers: dict[Place, Ledger] = {}
        """Another dictionary after each change of the assignment."""
        self.joined = False
        """Whether the group has given this process its share, which may be nothing."""
        self.held = False
        """Whether reading pauses, so that new partitions must pause, too."""
        self._own_marks: dict[Place, tuple[int, int]] = {}

    def assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Begin where the group stands. Called by the client."""
        try:
            committed = consumer.committed(partitions, timeout=PATIENCE)
            ledgers = [self._open(consumer, one) for one in committed]
        except KafkaException as error:
            # The client then finds the places itself, and nothing counts as delivered before.
            log.warning("committed_offsets_unknown", error=str(error))
            ledgers = [Ledger((one.topic, one.partition), None, 1) for one in partitions]
        consumer.assign(
            [
                TopicPartition(*ledger.place)
                if ledger.next is None
                else TopicPartition(*ledger.place, ledger.next)
                for ledger in ledgers
            ]
        )
        if self.held:
            consumer.pause(partitions)
        self.ledgers = {ledger.place: ledger for ledger in ledgers}
        self.joined = True

    def _open(self, consumer: Consumer, committed: TopicPartition) -> Ledger:
        if committed.error is not None:
            raise KafkaException(committed.error)
        place = committed.topic, committed.partition
        offset = committed.offset
        if offset == OFFSET_INVALID:
            offset, _ = consumer.get_watermark_offsets(committed, timeout=PATIENCE)
        before = _starts(committed.metadata)
        if self._own_marks.get(place) == (offset, before):
            before -= 1  # this process lost the partition, and lives
        return Ledger(place, offset, before + 1)

    def revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Commit all that is done, and let go. Called by the client."""
        last = [ledger.farewell() for ledger in self.ledgers.values() if ledger.head is not None]
        self.lost(consumer, partitions)
        self._own_marks.clear()
        if last:
            try:
                # The client closes or gives back only once this has been answered.
                consumer.commit(offsets=last, asynchronous=True)
            except KafkaException as error:
                log.warning("last_commit_failed", error=str(error))

    def lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:  # noqa: ARG002 - given
        """Let go: others have these partitions by now. Called by the client."""
        self.ledgers = {}
        self.joined = False

    def commit(self, consumer: Consumer) -> None:
        """Send what has to be committed. The answer comes to `committed` while the client is polled."""
        due = [offset for ledger in self.ledgers.values() if (offset := ledger.due()) is not None]
        if due:
            for one in due:
                self._own_marks[one.topic, one.partition] = one.offset, _starts(one.metadata)
            consumer.commit(offsets=due, asynchronous=True)

    @property
    def unmarked(self) -> bool:
        """Whether work begins somewhere that the group doesn't know of yet."""
        return any(ledger.head is not None and ledger.requested is None for ledger in self.ledgers.values())

    def mark(self, consumer: Consumer) -> None:
        """Let the group know where work begins, before it does.

        A commit that is waited for may wait for ever. This one has arrived once a later question is answered.
        """
        places = [
            one.place for one in self.ledgers.values() if one.head is not None and one.requested is None
        ]
        self.commit(consumer)
        with suppress(KafkaException):  # the work is more urgent than the count
            consumer.committed([TopicPartition(*place) for place in places], timeout=PATIENCE)

    def committed(self, error: KafkaError | None, partitions: Sequence[TopicPartition]) -> None:
        """Take the answer. What was refused is committed again, unless others have it."""
        for one in partitions:
            ledger = self.ledgers.get((one.topic, one.partition))
            if ledger is not None and (error or one.error):
                ledger.requested = None

    def take(self, messages: Sequence[Message]) -> dict[str, "Batch"]:
        """Note that messages are handed over; return them by channel."""
        batches: dict[str, Batch] = {}
        for message in self._in_fair_order(messages):
            place = message.topic(), message.partition()
            ledger = self.ledgers.get(place)  # type: ignore[arg-type]  # what was read has a place
            offset: int = message.offset()  # type: ignore[assignment]
            if ledger is None:
                continue
            if ledger.next is not None and offset < ledger.next:
                # The client never repeats itself: the topic was made anew, or lost its end.
                log.warning("partition_begins_again", channel=place[0], partition=place[1], offset=offset)
                ledger = self.ledgers[ledger.place] = Ledger(ledger.place, offset, 1)
            stamp = message.timestamp()[1]
            arrived = stamp if stamp > 0 else None
            channel = ledger.place[0]
            batch = batches.get(channel)
            if batch is None:
                batch = batches[channel] = Batch()
            batch.append(message)
            headers = message.headers()
            batch.raw.append(
                RawMessage(
                    channel,
                    f"{ledger.place[1]}:{offset}",
                    message.value() or b"",
                    arrived,
                    ledger.take(offset, arrived),
                    NO_HEADERS if not headers else _text(dict(headers)),
                    (ledger, offset),
                )
            )
        return batches

    def _in_fair_order(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Where starts have failed, begin with another partition each time: what always comes after the
        message that kills would never be done, and take part of its blame.
        """
        if all(ledger.starts == 1 for ledger in self.ledgers.values()):
            return messages
        partitions = {message.partition() for message in messages}
        turn = dict(zip(partitions, random.sample(range(len(partitions)), len(partitions)), strict=True))
        return sorted(messages, key=lambda message: turn[message.partition()])


class Batch(list[Message]):
    """What FastStream is given, with what the handler will be."""

    def __init__(self) -> None:
        super().__init__()
        self.raw: list[RawMessage] = []


def _text(headers: dict[str, str | bytes | None]) -> dict[str, str]:
    return {
        name: value.decode(errors="backslashreplace") if isinstance(value, bytes) else value or ""
        for name, value in headers.items()
    }
