"""What the command line does with a Redis broker, outside any consumer group."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from service.brokers.redis_errors import errors

BODY_FIELD = "__data__"
START = "0-0"
POLL = 1000
"""Milliseconds that one read waits; must stay well under the socket's timeout."""
PAGE = 500


class RedisTools:
    """Publishes, and follows streams."""

    def __init__(self, redis: Redis) -> None:
        """`redis` stays the caller's to close."""
        self._redis = redis

    async def publish(self, channel: str, bodies: Sequence[bytes]) -> list[str]:
        """Publish in order and return the positions.

        Raises:
            BrokerUnavailable: some may be published, and some not.
        """
        async with errors():
            pipeline = self._redis.pipeline(transaction=False)
            for body in bodies:
                pipeline.xadd(channel, {BODY_FIELD: body})
            return [position.decode() for position in await pipeline.execute()]

    async def ends(self, channels: Sequence[str]) -> dict[str, str]:
        """Return where each channel ends now: `follow` from there gives what comes later.

        Raises:
            BrokerUnavailable: call again.
        """
        async with errors():
            return {channel: await self._end(channel) for channel in channels}

    async def _end(self, channel: str) -> str:
        try:
            stream: dict[str, Any] = await self._redis.xinfo_stream(channel)
        except ResponseError as error:
            if "no such key" not in str(error):
                raise
            return START
        return str(stream["last-generated-id"].decode())

    async def follow(self, positions: Mapping[str, str]) -> AsyncIterator[tuple[str, str, bytes]]:
        """Give `(channel, position, body)` of every entry after `positions`, until cancelled.

        Raises:
            BrokerUnavailable: the server is away.
        """
        after = dict(positions)
        while True:
            async with errors():
                streams: dict[Any, Any] = {**after}
                reply: Any = await self._redis.xread(streams, count=PAGE, block=POLL)
            for stream, entries in reply:
                channel = stream.decode()
                for position, fields in entries:
                    after[channel] = position.decode()
                    yield channel, after[channel], fields.get(BODY_FIELD.encode(), b"")
