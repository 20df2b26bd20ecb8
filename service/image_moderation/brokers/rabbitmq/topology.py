"""The exchange and the group's queues, as the service declares them."""

import asyncio
from typing import Any

import aiormq
from aio_pika.abc import AbstractConnection
from aiormq.exceptions import ChannelNotFoundEntity

from image_moderation.brokers.calls import TIMEOUT
from image_moderation.brokers.rabbitmq.connection import open_channel
from image_moderation.events.models import DEAD_LETTER_CHANNEL, REPORTED_CHANNEL, REVIEWED_CHANNEL

EXCHANGE = "image-moderation"
QUEUED = (REPORTED_CHANNEL, REVIEWED_CHANNEL, DEAD_LETTER_CHANNEL)
"""Channels that have a queue of the group. Decisions go to the queues that their consumers have bound."""
QUEUE_ARGUMENTS: dict[str, Any] = {
    "x-queue-type": "quorum",
    # From version 4 on a quorum queue drops a message after twenty deliveries by default; here the intake
    # parks it.
    "x-delivery-limit": 1_000_000,
    # While the store is away messages stay in hand. Without this the server closes the channel after half an
    # hour, and each time counts as a delivery. Before version 3.12 it is the operator's to set.
    "x-consumer-timeout": 7 * 86_400_000,
}


def queue_name(group: str, channel: str) -> str:
    """Return the name of the group's queue for a channel."""
    return f"{group}.{channel}"


class Topology:
    """The exchange and one group's queues. Errors are the client's."""

    def __init__(self, connection: AbstractConnection, group: str) -> None:
        """`connection` stays the caller's to close."""
        self._connection = connection
        self._group = group
        self._channel: aiormq.Channel | None = None
        # One call at a time: one that asks for a missing queue ends its channel, and every call on it.
        self._lock = asyncio.Lock()

    async def declare(self, channel: str) -> None:
        """Make the exchange, and bound to it the group's queue of a channel in QUEUED, if missing."""
        name = queue_name(self._group, channel)
        async with asyncio.timeout(TIMEOUT), self._lock:
            amqp = await self._open()
            await amqp.exchange_declare(EXCHANGE, exchange_type="topic", durable=True)
            await amqp.queue_declare(name, durable=True, arguments=QUEUE_ARGUMENTS)
            await amqp.queue_bind(name, EXCHANGE, routing_key=channel)

    async def count(self, channel: str) -> int | None:
        """Return how many messages wait in the group's queue; None if there is no such queue."""
        async with asyncio.timeout(TIMEOUT), self._lock:
            amqp = await self._open()
            try:
                answer = await amqp.queue_declare(queue_name(self._group, channel), passive=True)
            except ChannelNotFoundEntity:
                return None
        return answer.message_count or 0

    async def _open(self) -> aiormq.Channel:
        if self._channel is None or self._channel.is_closed:
            self._channel = await open_channel(self._connection)
        return self._channel
