"""Kafka: a channel is a topic of its name."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from image_moderation.brokers.kafka.client import KafkaClient
from image_moderation.brokers.kafka.dead_letters import KafkaDeadLetters
from image_moderation.brokers.kafka.transport import KafkaTransport
from image_moderation.brokers.port import Options


def make_transport(options: Options) -> KafkaTransport:
    """See `port.Broker`."""
    return KafkaTransport(options)


@asynccontextmanager
async def open_client(url: str, group: str) -> AsyncIterator[KafkaClient]:  # noqa: ARG001 - a topic has no owner
    """See `port.Broker`."""
    yield KafkaClient(url)


@asynccontextmanager
async def open_dead_letters(url: str, group: str) -> AsyncIterator[KafkaDeadLetters]:  # noqa: ARG001 - as above
    """See `port.Broker`."""
    yield KafkaDeadLetters(url)
