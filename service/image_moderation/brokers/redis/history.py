"""What the streams still hold, read by range: no group is given anything, and nothing is removed."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from image_moderation.brokers.history import merged
from image_moderation.brokers.redis.connection import errors
from image_moderation.brokers.redis.messages import raw_message
from image_moderation.domain.message import RawMessage

PAGE = 1_000
START = "0-0"


def history(redis: Redis, channels: Sequence[str]) -> AsyncIterator[RawMessage]:
    """See `port.BrokerClient`."""
    return merged([_entries(redis, channel) for channel in channels])


async def _entries(redis: Redis, channel: str) -> AsyncIterator[RawMessage]:
    after = "-"
    with errors():
        end = await end_of(redis, channel)
    while True:
        with errors():
            page: Any = await redis.xrange(channel, min=after, max=end, count=PAGE)
        for position, fields in page:
            yield raw_message(channel, position, [part for pair in fields.items() for part in pair])
        if len(page) < PAGE:
            return
        after = f"({page[-1][0].decode()}"


async def end_of(redis: Redis, channel: str) -> str:
    """Return the position of the newest entry that a stream has ever had."""
    try:
        stream: dict[str, Any] = await redis.xinfo_stream(channel)
    except ResponseError as error:
        if "no such key" not in str(error):
            raise
        return START
    return str(stream["last-generated-id"].decode())
