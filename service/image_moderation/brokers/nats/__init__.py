"""NATS JetStream: a channel is a subject of the stream IMAGE_MODERATION."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from image_moderation.brokers.nats.client import NatsClient
from image_moderation.brokers.nats.connection import connected, replicas_of
from image_moderation.brokers.nats.dead_letters import NatsDeadLetters
from image_moderation.brokers.nats.transport import NatsTransport
from image_moderation.brokers.port import Options


def make_transport(options: Options) -> NatsTransport:
    """See `port.Broker`.

    Raises:
        Misconfigured: the group's name is not valid for a durable.
    """
    return NatsTransport(options)


@asynccontextmanager
async def open_client(url: str, group: str) -> AsyncIterator[NatsClient]:  # noqa: ARG001 - a stream has no owner
    """See `port.Broker`."""
    async with connected(url) as client:
        yield NatsClient(client, replicas_of(url))


@asynccontextmanager
async def open_dead_letters(url: str, group: str) -> AsyncIterator[NatsDeadLetters]:  # noqa: ARG001 - as above
    """See `port.Broker`."""
    async with connected(url) as client:
        yield NatsDeadLetters(client, replicas_of(url))
