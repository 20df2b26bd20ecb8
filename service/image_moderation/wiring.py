"""Makes the parts that the service and the commands both need, or the commands alone, from the settings."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import time

from image_moderation.brokers.dead_letters import DeadLetters
from image_moderation.brokers.port import BrokerClient
from image_moderation.brokers.registry import broker_for
from image_moderation.domain.clock import MOST_CLOCK_SKEW
from image_moderation.domain.policy import Policy
from image_moderation.redis_connection import Client, close, connect
from image_moderation.settings import Settings, milliseconds
from image_moderation.store.durability import Durability
from image_moderation.store.redis_outbox import RedisOutbox
from image_moderation.store.redis_store import Lifetimes, RedisStore
from image_moderation.store.scan import CaseScan


def clock() -> int:
    """Return the time now, in milliseconds since 1970 UTC."""
    return int(time() * 1000)


def policy(settings: Settings) -> Policy:
    """Return the policy that these settings configure."""
    grace = settings.review_grace
    return Policy(
        block_threshold=settings.block_threshold,
        report_window=milliseconds(settings.report_window),
        immunity=milliseconds(settings.immunity),
        review_threshold=settings.review_threshold or 0,
        review_grace=0 if grace is None else milliseconds(grace),
        urgent_reasons=frozenset(settings.urgent_reasons),
        max_blocks_per_hour=settings.max_blocks_per_hour or 0,
        shadow=settings.mode == "shadow",
    )


def durability(settings: Settings) -> Durability:
    """Return how safe a write must be before a report is acked."""
    return Durability(replicas=settings.store_min_replicas, fsync=settings.store_fsync is not None)


def make_store(
    settings: Settings,
    client: Client,
    timer: Callable[[float], None] = lambda _: None,
    on_clock_offset: Callable[[float], None] = lambda _: None,
) -> RedisStore:
    """Return the store; for the callbacks see `RedisStore`."""
    return RedisStore(
        client,
        prefix=settings.key_prefix,
        policy=policy(settings),
        lifetimes=Lifetimes(decided=milliseconds(settings.block_retention)),
        reporter_key=settings.reporter_key_bytes,
        clock=clock,
        durability=durability(settings),
        timer=timer,
        most_skew=MOST_CLOCK_SKEW,
        on_clock_offset=on_clock_offset,
    )


def make_outbox(settings: Settings, client: Client) -> RedisOutbox:
    """Return the outbox of that store."""
    retention = settings.decision_retention
    return RedisOutbox(
        client,
        prefix=settings.key_prefix,
        clock=clock,
        decision_retention=None if retention is None else milliseconds(retention),
        durability=durability(settings),
    )


@asynccontextmanager
async def broker_client(settings: Settings) -> AsyncIterator[BrokerClient]:
    """Open the broker's client, which publishes and follows.

    Raises:
        BrokerUnavailable: call again.
        Misconfigured: the client library is not installed.
    """
    async with broker_for(settings.broker_address).open_client(
        settings.broker_address, settings.consumer_group
    ) as client:
        yield client


@asynccontextmanager
async def dead_letters(settings: Settings) -> AsyncIterator[DeadLetters]:
    """Open the dead letters.

    Raises:
        BrokerUnavailable: call again.
        Misconfigured: the client library is not installed.
    """
    broker = broker_for(settings.broker_address)
    async with broker.open_dead_letters(settings.broker_address, settings.consumer_group) as queue:
        yield DeadLetters(queue)


@asynccontextmanager
async def reading_store(settings: Settings) -> AsyncIterator[RedisStore]:
    """Make the store for reading only: without `open` it has no reporter key, so it can't apply reports."""
    client = connect(settings.store_address)
    try:
        yield make_store(settings, client)
    finally:
        await close(client)


@asynccontextmanager
async def case_scan(settings: Settings) -> AsyncIterator[CaseScan]:
    """Make the scan of all cases, which also removes single ones."""
    client = connect(settings.store_address)
    try:
        yield CaseScan(client, settings.key_prefix)
    finally:
        await close(client)
