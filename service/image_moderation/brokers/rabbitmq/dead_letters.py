"""The dead letters in the group's queue, by their delivery tags.

They are read without an ack, so no other consumer gets what was read until `close`. Those that were
not removed then go back, in order; after a lost connection RabbitMQ may give them back in another order.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

import aiormq
from aio_pika.abc import AbstractConnection
from aiormq.abc import DeliveredMessage

from image_moderation.brokers.calls import within
from image_moderation.brokers.rabbitmq.connection import CLIENT_ERRORS, errors, open_channel
from image_moderation.brokers.rabbitmq.publisher import RabbitmqPublisher
from image_moderation.brokers.rabbitmq.topology import Topology, queue_name
from image_moderation.domain.errors import BrokerUnavailable
from image_moderation.domain.message import Outgoing
from image_moderation.events.models import DEAD_LETTER_CHANNEL


class RabbitmqDeadLetters:
    """The dead letters of one group. See `port.DeadLetterQueue`."""

    purge_note = ""

    def __init__(self, connection: AbstractConnection, group: str) -> None:
        """`connection` stays the caller's to close."""
        self._connection = connection
        self._queue = queue_name(group, DEAD_LETTER_CHANNEL)
        self._topology = Topology(connection, group)
        self._publisher = RabbitmqPublisher(connection)
        self._amqp: aiormq.Channel | None = None
        self._held: dict[str, DeliveredMessage] = {}

    async def count(self) -> int:
        with errors():
            return (await self._topology.count(DEAD_LETTER_CHANNEL) or 0) + len(self._held)

    async def entries(self) -> AsyncIterator[tuple[str, bytes]]:
        with errors():
            if await self._topology.count(DEAD_LETTER_CHANNEL) is None:  # the service makes it
                return
            self._amqp = self._amqp or await open_channel(self._connection)
        while True:
            with errors():
                message = await within(self._amqp.basic_get(self._queue))
            if message.delivery_tag is None:
                return
            entry = str(message.delivery_tag)
            self._held[entry] = message
            yield entry, message.body

    async def body(self, entry: str) -> bytes | None:
        message = self._held.get(entry)
        return None if message is None else message.body

    async def resend(self, entries: Sequence[str], message: Outgoing) -> str | None:
        if not all(entry in self._held for entry in entries):
            return None
        with errors():
            (position,) = await self._publisher.publish([message])
        if position is None:
            raise BrokerUnavailable(f"{message.channel}: no queue is bound to it")
        await self.remove(entries)
        return position

    async def remove(self, entries: Sequence[str]) -> int:
        held = [self._held.pop(entry) for entry in entries if entry in self._held]
        with errors():
            for message in held:
                await message.channel.basic_ack(message.delivery_tag or 0)
        return len(held)

    async def close(self) -> None:
        """Give back what was read. Without a connection the server does that by itself."""
        with suppress(*CLIENT_ERRORS):
            for message in self._held.values():
                await message.channel.basic_nack(message.delivery_tag or 0)
