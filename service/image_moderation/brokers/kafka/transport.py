"""Kafka: reports and verdicts arrive on topics through a consumer group, decisions leave on topics.

FastStream reads, as one member of the group for both topics. Nothing is parsed here. What the group is told
is in `assignment`.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import structlog
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from faststream import AckPolicy
from faststream.confluent import KafkaBroker
from faststream.confluent.helpers import ConfluentFastConfig
from faststream.confluent.prometheus import KafkaPrometheusMiddleware
from faststream.message import StreamMessage

from image_moderation.brokers import port
from image_moderation.brokers.kafka.assignment import Assignment, Batch
from image_moderation.brokers.kafka.connection import client_settings, errors
from image_moderation.brokers.kafka.publisher import Publisher
from image_moderation.brokers.kafka.reader import Reader
from image_moderation.brokers.kafka.topology import ends, ensure
from image_moderation.brokers.port import INCOMING, Figures, Handler, Options
from image_moderation.domain.decision import Publication
from image_moderation.domain.errors import BrokerUnavailable
from image_moderation.domain.message import NO_HEADERS, DeadLetter, RawMessage
from image_moderation.events.models import CHANNELS
from image_moderation.events.render import dead_letter_message

SHORTEST_SESSION = 6_000
"""Milliseconds; a broker refuses less unless its operator says otherwise."""
PREFETCHED_KILOBYTES = 16_384
"""What the client reads ahead."""
LARGEST_LETTER = 900_000
"""Bytes; a broker refuses more than a megabyte unless its operator says otherwise."""
CLOSING = 1.0
"""Seconds that closing may take beyond the patience of `stop`."""

log = structlog.get_logger(__name__)


async def _as_read(batch: Batch) -> StreamMessage[Any]:
    """FastStream's parser, in place of its own: nothing is looked into."""
    return StreamMessage(raw_message=batch, body=b"")


async def _as_raw_messages(message: StreamMessage[Any]) -> list[RawMessage]:
    """FastStream's decoder: messages as they came."""
    batch: Batch = message.raw_message
    return batch.raw


class KafkaTransport:
    """The transport over Kafka. See `port.Transport`."""

    def __init__(self, options: Options) -> None:
        """Nothing is connected before `start`.

        Raises:
            Misconfigured: the URL asks for something unknown.
        """
        self._options = options
        settings = client_settings(options.url)
        self._publisher = Publisher(settings)
        self._assignment = Assignment()
        self._handler: Handler
        port.leave_restarting_to_the_watchdog()
        self._broker = KafkaBroker(
            settings["bootstrap.servers"],
            config=settings,  # type: ignore[arg-type]  # a dictionary with the keys of theirs
            client_id=options.consumer,
            allow_auto_create_topics=False,
            apply_types=False,
            logger=None,
            middlewares=options.middlewares(KafkaPrometheusMiddleware),
        )
        # What a consumer alone understands goes past the broker's producer.
        self._broker.config.broker_config.builder.config = ConfluentFastConfig(  # type: ignore[attr-defined]
            bootstrap_servers=settings["bootstrap.servers"],
            client_id=options.consumer,
            allow_auto_create_topics=False,
            config=settings  # type: ignore[arg-type]  # as above
            | {
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "queued.max.messages.kbytes": PREFETCHED_KILOBYTES,
                "fetch.queue.backoff.ms": 10,  # with the client's default it is empty for most of a second
                "on_commit": self._assignment.committed,
            },
        )
        session = max(port.REDELIVER_AFTER, SHORTEST_SESSION)
        reader: Any = self._broker.subscriber(
            *INCOMING,
            group_id=options.group,
            batch=True,
            max_records=options.batch_size,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            session_timeout_ms=session,
            heartbeat_interval_ms=session // 3,
            fetch_max_bytes=PREFETCHED_KILOBYTES * 1024,
            on_assign=self._assignment.assigned,
            on_revoke=self._assignment.revoked,
            on_lost=self._assignment.lost,
            ack_policy=AckPolicy.MANUAL,
            parser=_as_read,
            decoder=_as_raw_messages,
        )
        reader.__class__ = Reader
        self._reader: Reader = reader
        self._reader.prepare(self._assignment)
        self._reader(self._handle)

    @property
    def _admin(self) -> AdminClient:
        return self._broker.config.broker_config.admin.client

    async def start(self, handler: Handler) -> None:
        """See `port.Transport`."""
        self._handler = handler
        async with errors():
            await self._broker.connect()
            await asyncio.to_thread(ensure, self._admin, CHANNELS, self._options.dead_letter_retention)
            await self._broker.start()

    async def _handle(self, messages: list[RawMessage]) -> None:
        await self._handler(messages)

    async def revive(self) -> None:
        """See `port.Transport`. A deleted topic is silence, so the topics are looked for."""
        async with errors():
            await asyncio.to_thread(ensure, self._admin, INCOMING)
            if not self._reader.running or any(task.done() for task in self._reader.tasks):
                log.warning("reader_restarted")
                await self._reader.stop()
                await self._reader.start()
        if not self._assignment.joined:
            raise BrokerUnavailable("the group has not given this process its partitions yet")

    async def ack(self, messages: Sequence[RawMessage]) -> None:
        """See `intake.ports.Source`. Committed with the next poll, at most a tenth of a second later.

        A partition that is no longer this process's has given its messages to another already.
        """
        for message in messages:
            ledger, offset = message.handle
            ledger.done(offset)

    async def park(self, letters: Sequence[DeadLetter]) -> None:
        """See `intake.ports.Source`. Headers that would make a letter too large for the broker stay out."""
        now = self._options.clock()
        messages = [dead_letter_message(letter, now) for letter in letters]
        for at, message in enumerate(messages):
            if len(message.body) > LARGEST_LETTER:
                letter = letters[at]
                bare = letter._replace(message=letter.message._replace(headers=NO_HEADERS))
                messages[at] = dead_letter_message(bare, now)
        async with errors():
            await self._publisher.publish(messages)

    async def publish(self, publications: Sequence[Publication]) -> Sequence[bool]:
        """See `outbox.ports.Publisher`."""
        async with errors():
            await self._publisher.publish([publication.message for publication in publications])
        return [True] * len(publications)

    async def reclaim(self) -> None:
        """The group itself gives a dead member's partitions to others."""

    async def tidy(self) -> None:
        """The topics' retention removes what is old."""

    async def figures(self) -> Figures:
        """See `port.Transport`. Of the partitions that this process has: together the replicas show all."""
        ledgers = list(self._assignment.ledgers.values())
        async with errors():
            if ledgers:
                places = [ledger.place for ledger in ledgers]
                end = await asyncio.to_thread(ends, self._admin, places)
            else:
                end = {}
                await asyncio.to_thread(ensure, self._admin, INCOMING)
        lag = sum(max(0, end[one.place] - one.next) for one in ledgers if one.next is not None)
        pending = [list(ledger.pending.values()) for ledger in ledgers]
        oldest = min((times[0] for times in pending if times and times[0] is not None), default=None)
        age = 0.0 if oldest is None else max(0.0, (self._options.clock() - oldest) / 1000)
        return Figures(lag, sum(map(len, pending)), age)

    async def stop(self, patience: float) -> None:
        """See `port.Transport`."""
        try:
            async with asyncio.timeout(patience):
                await self._reader.finish()
        except TimeoutError:
            log.warning("drain_incomplete", error="batches in hand were given up")
            self._reader.give_up()
        self._broker.config.broker_config.graceful_timeout = 0.1
        with suppress(TimeoutError, KafkaException):
            async with asyncio.timeout(CLOSING):
                await self._broker.stop()
