"""Redis Streams: a channel is a stream of its name."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service.brokers.port import Options
from service.brokers.redis.letters import RedisLetters
from service.brokers.redis.tools import RedisTools
from service.brokers.redis.transport import RedisTransport
from service.redis_connection import close, connect_one


def make_transport(options: Options) -> RedisTransport:
    """See `port.Broker`."""
    return RedisTransport(options)


@asynccontextmanager
async def open_tools(url: str, group: str) -> AsyncIterator[RedisTools]:  # noqa: ARG001 - a stream is nobody's
    """See `port.Broker`."""
    client = connect_one(url)
    try:
        yield RedisTools(client)
    finally:
        await close(client)


@asynccontextmanager
async def open_letter_box(url: str, group: str) -> AsyncIterator[RedisLetters]:  # noqa: ARG001 - as above
    """See `port.Broker`."""
    client = connect_one(url)
    try:
        yield RedisLetters(client)
    finally:
        await close(client)
