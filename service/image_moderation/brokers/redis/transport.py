"""Redis Streams: reports and verdicts arrive through a consumer group, decisions leave on streams."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import structlog
from faststream import AckPolicy
from faststream.redis import StreamSub
from redis.asyncio import Redis

from image_moderation.brokers.port import INCOMING, Damage, Figures, Options
from image_moderation.brokers.reader import parse_batch
from image_moderation.brokers.redis.connection import errors, make_broker
from image_moderation.brokers.redis.messages import decode_batch, take_raw_entries
from image_moderation.brokers.redis.publisher import RedisPublisher
from image_moderation.brokers.redis.reader import POLL, RedisReader
from image_moderation.brokers.redis.topology import Group, ahead_of_clock
from image_moderation.brokers.transport import BaseTransport
from image_moderation.domain.clock import MOST_CLOCK_SKEW
from image_moderation.domain.errors import BrokerUnavailable
from image_moderation.domain.message import RawMessage
from image_moderation.events.models import (
    BLOCKED_CHANNEL,
    DEAD_LETTER_CHANNEL,
    REPORTED_CHANNEL,
    REVIEW_CHANNEL,
    UNBLOCKED_CHANNEL,
)
from image_moderation.redis_connection import close, connect_one, is_refused

LANES = 8
"""Of the busy channel: so many that one always has a batch to parse while others wait."""

MOST_CONNECTIONS = 100
"""Unless the URL says how many. A lane holds one while it waits."""
DELETION_MEMORY = 60_000
"""Milliseconds for which a deletion of unread messages is told."""
CHANNELS = (*INCOMING, BLOCKED_CHANNEL, UNBLOCKED_CHANNEL, REVIEW_CHANNEL, DEAD_LETTER_CHANNEL)

log = structlog.get_logger(__name__)


class RedisTransport(BaseTransport):
    """The transport over Redis Streams. Each stream has a group of the same name."""

    publisher: RedisPublisher

    def __init__(self, options: Options) -> None:
        """Nothing is connected before `start`."""
        self.broker = make_broker(options)
        self.by_channel = {channel: self._reader(channel, options) for channel in INCOMING}
        self._redis: Redis | None = None
        self._groups: list[Group] = []
        self._refused: dict[str, str] = {}
        self._ahead: dict[str, int] = {}
        self._deleted_from, self._deleted_at = "", -DELETION_MEMORY
        super().__init__(options, list(self.by_channel.values()), errors)

    def _reader(self, channel: str, options: Options) -> RedisReader:
        subscriber: Any = self.broker.subscriber(
            stream=StreamSub(
                channel,
                group=options.group,
                consumer=options.consumer,
                batch=True,
                max_records=options.batch_size,
                polling_interval=POLL,
                last_id=">",
            ),
            ack_policy=AckPolicy.MANUAL,
            parser=parse_batch,
            decoder=decode_batch,
        )
        # Of FastStream's own log, which is off: a deep copy of the StreamSub for each batch.
        subscriber.get_log_context = lambda _: {}
        return RedisReader(channel, subscriber, options, lanes=LANES if channel == REPORTED_CHANNEL else 1)

    async def connect(self) -> None:
        await self.broker.connect()  # opens nothing: its client is never used
        redis = self._redis = self._redis or connect_one(self.options.url, most_connections=MOST_CONNECTIONS)
        take_raw_entries(redis)
        options = self.options
        self._groups = [Group(redis, channel, options.group, options.consumer) for channel in INCOMING]
        for reader in self.by_channel.values():
            reader.redis = redis
        self.publisher = RedisPublisher(
            redis,
            clock=options.clock,
            dead_letter_retention=options.dead_letter_retention,
            decision_retention=options.decision_retention,
        )

    async def ensure(self) -> None:
        """See `BaseTransport`. A lost group shows as a failing reader."""
        for group, reader in zip(self._groups, self.readers, strict=True):
            if not reader.reading or reader.failure:
                await group.create()
                await group.figures()  # before the first read, which hides what was deleted unread

    async def ack(self, messages: Sequence[RawMessage]) -> None:
        with errors():
            await self.by_channel[messages[0].channel].ack(messages)

    async def keep(self) -> None:
        with errors():
            for reader in self.by_channel.values():
                await reader.keep()

    async def reclaim(self) -> None:
        for channel, reader in self.by_channel.items():
            while messages := await self._claim(reader):
                most = max(message.deliveries for message in messages)
                log.info("reclaimed", channel=channel, messages=len(messages), most_deliveries=most)
                await reader.work_on(messages)

    async def _claim(self, reader: RedisReader) -> list[RawMessage]:
        with self._chore("reclaim"):
            return await reader.claim()

    @contextmanager
    def _chore(self, name: str) -> Iterator[None]:
        """Keep for `damage` what this user may not do: the loops repeat what fails, and say nothing of it."""
        try:
            with errors():
                yield
        except BrokerUnavailable as error:
            if isinstance(error.__cause__, Exception) and is_refused(error.__cause__):
                self._refused[name] = str(error)
            raise
        self._refused.pop(name, None)

    async def tidy(self) -> None:
        """See `port.Transport`: trim the streams, remove consumers long gone, and bound the dead letters."""
        with self._chore("tidy"):
            for group in self._groups:
                await group.correct_lag()
                await group.trim()
                await group.remove_idle_consumers()
            if self.options.dead_letter_max_bytes is not None:
                await self.publisher.drop_dead_letters(self.options.dead_letter_max_bytes)

    async def figures(self) -> Figures:
        with errors():
            figures = [await group.figures() for group in self._groups]
            if self._redis is not None:
                self._ahead = await ahead_of_clock(self._redis, CHANNELS)
        return Figures.total(figures)

    def damage(self) -> Damage:
        """See `port.Transport`. A producer that may XADD may give any id, and may trim the stream by it."""
        now = self.options.clock()
        deleted = 0
        for channel, group in zip(INCOMING, self._groups, strict=True):
            count, group.deleted = group.deleted, 0
            if count:
                log.warning("unread_deleted", channel=channel, count=count)
                self._deleted_from, self._deleted_at = channel, now
            deleted += count
        why = next(iter(self._refused.values()), "")
        channel, ahead = max(self._ahead.items(), key=lambda item: item[1], default=("", 0))
        if ahead > MOST_CLOCK_SKEW:
            why = f"{channel}: its last id lies {ahead // 1000} s in the future, so it may take nothing more"
        elif now - self._deleted_at < DELETION_MEMORY:
            why = f"{self._deleted_from}: somebody deleted messages that the service had not read"
        return Damage(ahead / 1000, deleted, why)

    async def leave(self) -> None:
        """See `BaseTransport`. Entries that a stopped lane was still given are worked on first."""
        for reader in self.by_channel.values():
            await reader.finish_own()
        for group in self._groups:
            await group.leave()

    async def close(self) -> None:
        await self.broker.stop()
        if self._redis is not None:
            await close(self._redis)
