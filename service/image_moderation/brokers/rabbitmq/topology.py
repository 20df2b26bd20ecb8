"""The exchange and the group's queues, as the service declares them."""

import asyncio
from typing import Any

import aiormq
import structlog
from aio_pika.abc import AbstractConnection
from aiormq.exceptions import ChannelNotFoundEntity, ChannelPreconditionFailed

from image_moderation.brokers.calls import TIMEOUT
from image_moderation.brokers.rabbitmq.connection import open_channel
from image_moderation.events.models import DEAD_LETTER_CHANNEL

EXCHANGE = "image-moderation"
OLD_LIMIT = (
    "the queue {} is there with other limits than MODERATION_DEAD_LETTER_MAX_BYTES; set them with a policy, "
    "or redrive or purge its messages, delete it, and it is made anew"
)
QUEUE_ARGUMENTS: dict[str, Any] = {
    "x-queue-type": "quorum",
    # From version 4 on a quorum queue drops a message after twenty deliveries by default; here the intake
    # parks it.
    "x-delivery-limit": 1_000_000,
    # While the store is away messages stay in hand. Without this the server closes the channel after half an
    # hour, and each time counts as a delivery. Before version 3.12 it is the operator's to set.
    "x-consumer-timeout": 7 * 86_400_000,
}


log = structlog.get_logger(__name__)


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
        self._keeps_old_limit = False
        # One call at a time: one that asks for a missing queue ends its channel, and every call on it.
        self._lock = asyncio.Lock()

    async def declare(self, channel: str) -> None:
        """Make the exchange, and bound to it the group's queue of a channel in INCOMING, if missing."""
        async with asyncio.timeout(TIMEOUT), self._lock:
            await self._declare(channel, QUEUE_ARGUMENTS)

    async def declare_dead_letters(self, max_bytes: int | None) -> None:
        """The same for the queue of dead letters, which keeps `max_bytes` of them and drops the oldest.

        One that is there with another limit, or from a version that had none, stays as it is.
        """
        limit = {} if max_bytes is None else {"x-max-length-bytes": max_bytes, "x-overflow": "drop-head"}
        name = queue_name(self._group, DEAD_LETTER_CHANNEL)
        async with asyncio.timeout(TIMEOUT), self._lock:
            try:
                if not self._keeps_old_limit:
                    await self._declare(DEAD_LETTER_CHANNEL, QUEUE_ARGUMENTS | limit)
                    return
                amqp = await self._open()
                await amqp.queue_declare(name, passive=True)
                await amqp.queue_bind(name, EXCHANGE, routing_key=DEAD_LETTER_CHANNEL)
            except ChannelPreconditionFailed as error:
                if not any(argument in str(error) for argument in limit):
                    raise
                log.warning("dead_letters_unbounded", hint=OLD_LIMIT.format(name))
                self._keeps_old_limit = True
            except ChannelNotFoundEntity:
                self._keeps_old_limit = False  # deleted: the next call makes it anew

    async def _declare(self, channel: str, arguments: dict[str, Any]) -> None:
        amqp, name = await self._open(), queue_name(self._group, channel)
        await amqp.exchange_declare(EXCHANGE, exchange_type="topic", durable=True)
        await amqp.queue_declare(name, durable=True, arguments=arguments)
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
