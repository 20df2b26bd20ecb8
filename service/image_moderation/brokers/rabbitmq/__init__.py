"""RabbitMQ: a channel is a routing key of the exchange `image-moderation`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from image_moderation.brokers.port import Options
from image_moderation.brokers.rabbitmq.client import RabbitmqClient
from image_moderation.brokers.rabbitmq.connection import connected
from image_moderation.brokers.rabbitmq.dead_letters import RabbitmqDeadLetters
from image_moderation.brokers.rabbitmq.transport import RabbitmqTransport


def make_transport(options: Options) -> RabbitmqTransport:
    """See `port.Broker`."""
    return RabbitmqTransport(options)


@asynccontextmanager
async def open_client(url: str, group: str) -> AsyncIterator[RabbitmqClient]:
    """See `port.Broker`."""
    async with connected(url) as connection:
        yield RabbitmqClient(connection, group)


@asynccontextmanager
async def open_dead_letters(url: str, group: str) -> AsyncIterator[RabbitmqDeadLetters]:
    """See `port.Broker`. Those that were read go back into the queue at the end."""
    async with connected(url) as connection:
        dead_letters = RabbitmqDeadLetters(connection, group)
        try:
            yield dead_letters
        finally:
            await dead_letters.close()
