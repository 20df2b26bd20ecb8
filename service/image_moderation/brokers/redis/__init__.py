"""Redis Streams: a channel is a stream of its name."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from image_moderation.brokers.port import Options
from image_moderation.brokers.redis.client import RedisClient
from image_moderation.brokers.redis.dead_letters import RedisDeadLetters
from image_moderation.brokers.redis.transport import RedisTransport
from image_moderation.redis_connection import close, connect_one


def make_transport(options: Options) -> RedisTransport:
    """See `port.Broker`."""
    return RedisTransport(options)


@asynccontextmanager
async def open_client(url: str, group: str) -> AsyncIterator[RedisClient]:  # noqa: ARG001 - a stream has no owner
    """See `port.Broker`."""
    client = connect_one(url)
    try:
        yield RedisClient(client)
    finally:
        await close(client)


@asynccontextmanager
async def open_dead_letters(url: str, group: str) -> AsyncIterator[RedisDeadLetters]:  # noqa: ARG001 - as above
    """See `port.Broker`."""
    client = connect_one(url)
    try:
        yield RedisDeadLetters(client)
    finally:
        await close(client)
