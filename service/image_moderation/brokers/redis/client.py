"""Publishing, following and reading what is there for the command line, outside any consumer group."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis

from image_moderation.brokers.redis.connection import errors
from image_moderation.brokers.redis.history import START, end_of, history
from image_moderation.brokers.redis.messages import BODY_FIELD
from image_moderation.domain.message import Outgoing, RawMessage

POLL = 1000
"""Milliseconds that one read waits; must stay well under the socket's timeout."""
PAGE = 500


class RedisClient:
    """Publishes, and follows streams. See `port.BrokerClient`."""

    def __init__(self, redis: Redis) -> None:
        """`redis` stays the caller's to close."""
        self._redis = redis

    async def publish(self, messages: Sequence[Outgoing]) -> list[str]:
        with errors():
            pipeline = self._redis.pipeline(transaction=False)
            for message in messages:
                pipeline.xadd(message.channel, {BODY_FIELD: message.body})
            return [position.decode() for position in await pipeline.execute()]

    def history(self, channels: Sequence[str]) -> AsyncIterator[RawMessage]:
        return history(self._redis, channels)

    @asynccontextmanager
    async def follow(
        self, channels: Sequence[str], *, from_start: bool
    ) -> AsyncIterator[AsyncIterator[tuple[str, str, bytes]]]:
        with errors():
            after = {
                channel: START if from_start else await end_of(self._redis, channel) for channel in channels
            }
        yield self._entries(after)

    async def _entries(self, after: dict[str, str]) -> AsyncIterator[tuple[str, str, bytes]]:
        while True:
            with errors():
                streams: dict[Any, Any] = {**after}
                reply: Any = await self._redis.xread(streams, count=PAGE, block=POLL)
            for stream, entries in reply:
                channel = stream.decode()
                for position, fields in entries:
                    after[channel] = position.decode()
                    yield channel, after[channel], fields.get(BODY_FIELD, b"")
