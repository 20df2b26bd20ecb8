"""RabbitMQ: a channel is a routing key of the exchange `image-moderation`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service.brokers.port import Options
from service.brokers.rabbitmq.connection import connected
from service.brokers.rabbitmq.letters import RabbitmqLetters
from service.brokers.rabbitmq.tools import RabbitmqTools
from service.brokers.rabbitmq.transport import RabbitmqTransport


def make_transport(options: Options) -> RabbitmqTransport:
    """See `port.Broker`."""
    return RabbitmqTransport(options)


@asynccontextmanager
async def open_tools(url: str, group: str) -> AsyncIterator[RabbitmqTools]:
    """See `port.Broker`."""
    async with connected(url) as connection:
        yield RabbitmqTools(connection, group)


@asynccontextmanager
async def open_letter_box(url: str, group: str) -> AsyncIterator[RabbitmqLetters]:
    """See `port.Broker`. What was looked at goes back into the queue when the box is closed."""
    async with connected(url) as connection:
        box = RabbitmqLetters(connection, group)
        try:
            yield box
        finally:
            await box.close()
