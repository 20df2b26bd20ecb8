"""NATS JetStream: a channel is a subject of the stream IMAGE_MODERATION."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service.brokers.nats.connection import connected
from service.brokers.nats.letters import NatsLetters
from service.brokers.nats.tools import NatsTools
from service.brokers.nats.transport import NatsTransport
from service.brokers.port import Options


def make_transport(options: Options) -> NatsTransport:
    """See `port.Broker`."""
    return NatsTransport(options)


@asynccontextmanager
async def open_tools(url: str, group: str) -> AsyncIterator[NatsTools]:  # noqa: ARG001 - a stream is nobody's
    """See `port.Broker`."""
    async with connected(url) as client:
        yield NatsTools(client)


@asynccontextmanager
async def open_letter_box(url: str, group: str) -> AsyncIterator[NatsLetters]:  # noqa: ARG001 - as above
    """See `port.Broker`."""
    async with connected(url) as client:
        yield NatsLetters(client)
