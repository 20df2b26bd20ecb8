"""Kafka: reports and verdicts arrive on topics, read by a consumer group; decisions leave on topics.

FastStream reads, one consumer a topic and one batch at a time: the client fetches ahead in the background,
and Kafka shares the work out by partitions, so that more replicas, not more readers, make it faster.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import structlog
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import (
    CommitFailedError,
    IllegalGenerationError,
    IllegalStateError,
    KafkaError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)
from aiokafka.structs import OffsetAndMetadata
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.prometheus import KafkaPrometheusMiddleware
from faststream.message import StreamMessage

from service.brokers import port
from service.brokers.kafka.attempts import Attempts
from service.brokers.kafka.connection import (
    connection_options,
    errors,
    keep_quiet,
    security,
    servers,
    within,
)
from service.brokers.kafka.producer import Producer
from service.brokers.kafka.topics import SUFFIXES, Topics
from service.brokers.port import INCOMING, Figures, Handler, Options
from service.domain.decision import Publication
from service.domain.message import NO_HEADERS, DeadLetter, RawMessage
from service.events.render import dead_letter_message

POLL = 0.5
"""Seconds that a reader waits for records."""
JOINING = 15.0
"""Seconds that a group may take to let a new member in."""
SHORTEST_SESSION = 6_000
"""Milliseconds: brokers refuse a shorter one."""
NEVER = 2**31 - 1
"""Milliseconds: as long as a batch may be in hand, for the store may be away for days."""
LOST = (
    CommitFailedError,
    IllegalGenerationError,
    IllegalStateError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)
"""The partition is another's by now: it is given the messages again, and they change nothing."""

log = structlog.get_logger(__name__)


class KafkaTransport:
    """The transport over Kafka. See `port.Transport`."""

    def __init__(self, options: Options) -> None:
        """Nothing is connected before `start`.

        Raises:
            Misconfigured: the URL's query is none that this service knows.
        """
        keep_quiet()
        port.leave_restarting_to_the_watchdog()
        self._options = options
        connection = connection_options(options.url)
        self._topics = Topics(connection)
        self._producer = Producer(connection)
        self._in_hand: dict[str, tuple[int, int]] = {}
        self._groups = {channel: options.group + SUFFIXES[channel] for channel in INCOMING}
        self._attempts = {
            channel: Attempts(self._topics, group, partial(self._consumer, channel))
            for channel, group in self._groups.items()
        }
        self._handler: Handler
        self._broker = KafkaBroker(
            servers(options.url),
            security=security(options.url),
            consumer_only=True,
            apply_types=False,
            logger=None,
            middlewares=options.middlewares(KafkaPrometheusMiddleware, "kafka"),
        )
        self._readers: dict[str, Any] = {}
        session = max(port.REDELIVER_AFTER, SHORTEST_SESSION)
        for channel in INCOMING:
            reader: Any = self._broker.subscriber(
                channel,
                group_id=self._groups[channel],
                batch=True,
                max_records=options.batch_size,
                batch_timeout_ms=int(POLL * 1000),
                auto_offset_reset="earliest",
                session_timeout_ms=session,
                heartbeat_interval_ms=session // 5,
                max_poll_interval_ms=NEVER,
                listener=self._attempts[channel],
                ack_policy=AckPolicy.MANUAL,
                parser=_as_read,
                decoder=self._as_raw_messages,
            )
            reader(self._handle)
            self._readers[channel] = reader

    def _consumer(self, channel: str) -> Any:
        """The reader's consumer, None while it has none."""
        return self._readers[channel].consumer

    async def _as_raw_messages(self, message: StreamMessage[Any]) -> list[RawMessage]:
        """FastStream's decoder: records as they came."""
        return [self._raw_message(record) for record in message.raw_message]

    def _raw_message(self, record: ConsumerRecord[bytes, bytes]) -> RawMessage:
        partition = TopicPartition(record.topic, record.partition)
        headers = NO_HEADERS
        if record.headers:
            headers = {name: value.decode(errors="backslashreplace") for name, value in record.headers}
        return RawMessage(
            record.topic,
            f"{record.partition}:{record.offset}",
            record.value or b"",
            record.timestamp if record.timestamp > 0 else None,
            self._attempts[record.topic].deliveries(partition, record.offset),
            headers,
            (partition, record.offset),
        )

    async def start(self, handler: Handler) -> None:
        """See `port.Transport`."""
        self._handler = handler
        async with errors():
            await self._topics.ensure()
            await within(self._broker.connect())
            await asyncio.gather(*(self._start_reader(channel) for channel in INCOMING))

    async def _start_reader(self, channel: str) -> None:
        reader = self._readers[channel]
        if reader.running:
            await within(reader.stop())
        # A group takes some seconds to settle.
        await within(reader.start(), JOINING)

    async def _handle(self, messages: list[RawMessage]) -> None:
        channel = messages[0].channel
        oldest = min(message.arrived or self._options.clock() for message in messages)
        self._in_hand[channel] = (len(messages), oldest)
        try:
            await self._handler(messages)
        finally:
            del self._in_hand[channel]

    async def revive(self) -> None:
        """See `port.Transport`."""
        async with errors():
            await self._topics.ensure()
            for channel, reader in self._readers.items():
                tasks: list[asyncio.Task[Any]] = reader.tasks
                if not reader.running or not tasks or any(task.done() for task in tasks):
                    log.warning("reader_restarted", channel=channel)
                    await self._start_reader(channel)

    async def ack(self, messages: Sequence[RawMessage]) -> None:
        """See `intake.ports.Source`: commits the offsets after the last message of each partition."""
        ends: dict[TopicPartition, int] = {}
        for message in messages:
            partition, offset = message.handle
            ends[partition] = max(offset + 1, ends.get(partition, 0))
        attempts = self._attempts[messages[0].channel]
        for partition in ends:
            attempts.progress(partition)
        consumer = self._consumer(messages[0].channel)
        if consumer is None:
            return
        async with errors():
            try:
                await within(
                    consumer.commit(
                        {partition: OffsetAndMetadata(end, "") for partition, end in ends.items()}
                    )
                )
            except LOST as error:
                log.info("partition_lost", why=type(error).__name__, messages=len(messages))

    async def park(self, letters: Sequence[DeadLetter]) -> None:
        """See `intake.ports.Source`."""
        now = self._options.clock()
        async with errors():
            await self._producer.publish([dead_letter_message(letter, now) for letter in letters])

    async def publish(self, publications: Sequence[Publication]) -> Sequence[bool]:
        """See `outbox.ports.Publisher`."""
        async with errors():
            await self._producer.publish([publication.message for publication in publications])
        return [True] * len(publications)

    async def reclaim(self) -> None:
        """The group gives a dead member's partitions to others by itself."""

    async def tidy(self) -> None:
        """Kafka removes records by the topic's retention."""

    async def figures(self) -> Figures:
        """See `port.Transport`. What waits is of the whole group, what is in hand of this process."""
        async with errors():
            waiting = sum([await self._waiting(channel) for channel in INCOMING])
        pending = sum(count for count, _ in self._in_hand.values())
        oldest = min((since for _, since in self._in_hand.values()), default=None)
        age = 0.0 if oldest is None else max(0.0, (self._options.clock() - oldest) / 1000)
        return Figures(max(0, waiting - pending), pending, age)

    async def _waiting(self, channel: str) -> int:
        """Records of a topic that the group has not committed."""
        consumer = self._consumer(channel)
        if consumer is None:
            return 0
        partitions = await self._topics.partitions(channel)
        committed = await self._topics.committed(self._groups[channel], partitions)
        first = await within(consumer.beginning_offsets(partitions))
        last = await within(consumer.end_offsets(partitions))
        done = {one: committed[one].offset if one in committed else 0 for one in partitions}
        return sum(max(0, last[one] - max(first[one], done[one])) for one in partitions)

    async def stop(self, patience: float) -> None:
        """See `port.Transport`."""
        self._broker.config.broker_config.graceful_timeout = patience
        for attempts in self._attempts.values():
            with suppress(KafkaError, TimeoutError):
                await within(attempts.give_up(), 1)
        with suppress(KafkaError, OSError, TimeoutError):
            async with asyncio.timeout(patience + 0.5):
                await asyncio.gather(*(reader.stop() for reader in self._readers.values()))
        for channel in INCOMING:
            if (consumer := self._consumer(channel)) is not None:
                with suppress(KafkaError, OSError, TimeoutError):
                    await within(consumer.stop(), 1)
        self._broker.config.broker_config.graceful_timeout = 0.1
        with suppress(KafkaError, OSError, TimeoutError):
            await within(self._broker.stop(), 1)
        await self._producer.close()
        await self._topics.close()


async def _as_read(records: Any) -> StreamMessage[Any]:
    """FastStream's parser, in place of its own: nothing is looked into."""
    return StreamMessage(raw_message=records, body=[])
