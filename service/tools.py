"""The composition root of the commands, as `app` is of the service: what they use, from settings."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import time

from redis.asyncio import Redis

from service.brokers.redis_letters import DeadLetters
from service.brokers.redis_tools import RedisTools
from service.domain.policy import Policy
from service.redis_connection import connect
from service.settings import Settings, milliseconds
from service.store.redis_store import Lifetimes, RedisStore


def clock() -> int:
    """Now, in milliseconds since 1970 UTC."""
    return int(time() * 1000)


def policy(settings: Settings) -> Policy:
    """The rule that these settings configure."""
    return Policy(settings.block_threshold, milliseconds(settings.report_window))


@asynccontextmanager
async def broker_tools(settings: Settings) -> AsyncIterator[RedisTools]:
    """What publishes and follows."""
    async with _broker(settings) as client:
        yield RedisTools(client)


@asynccontextmanager
async def dead_letters(settings: Settings) -> AsyncIterator[DeadLetters]:
    """The parked messages."""
    async with _broker(settings) as client:
        yield DeadLetters(client)


@asynccontextmanager
async def reading_store(settings: Settings) -> AsyncIterator[RedisStore]:
    """The store, to look at: it is not opened, so it agrees on no key and digests nobody."""
    client = connect(settings.store_address)
    try:
        yield RedisStore(
            client,
            prefix=settings.key_prefix,
            policy=policy(settings),
            lifetimes=Lifetimes(decided=milliseconds(settings.block_retention)),
            reporter_key=settings.reporter_key_bytes,
            clock=clock,
        )
    finally:
        await client.aclose()


@asynccontextmanager
async def _broker(settings: Settings) -> AsyncIterator[Redis]:
    client = connect(settings.broker_address)
    try:
        if not isinstance(client, Redis):
            raise TypeError("the broker is one Redis; the settings take no other")
        yield client
    finally:
        await client.aclose()
