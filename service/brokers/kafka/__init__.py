"""Kafka: a channel is a topic of its name."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service.brokers.kafka.letters import KafkaLetters
from service.brokers.kafka.tools import KafkaTools
from service.brokers.kafka.transport import KafkaTransport
from service.brokers.port import Options


def make_transport(options: Options) -> KafkaTransport:
    """See `port.Broker`."""
    return KafkaTransport(options)


@asynccontextmanager
async def open_tools(url: str, group: str) -> AsyncIterator[KafkaTools]:  # noqa: ARG001 - a topic is nobody's
    """See `port.Broker`."""
    yield KafkaTools(url)


@asynccontextmanager
async def open_letter_box(url: str, group: str) -> AsyncIterator[KafkaLetters]:  # noqa: ARG001 - as above
    """See `port.Broker`."""
    yield KafkaLetters(url)
