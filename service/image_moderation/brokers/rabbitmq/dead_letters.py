"""The dead letters in the group's queue, by their delivery tags.

Looking means taking without acking: as long as the box is open the letters are not there for anybody else.
What was not removed goes back when it is closed, in order; where the connection is lost RabbitMQ orders it
anew.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

from aio_pika.abc import AbstractConnection, AbstractIncomingMessage, AbstractQueue
from aiormq.exceptions import AMQPError

from image_moderation.brokers.rabbitmq.connection import errors
from image_moderation.brokers.rabbitmq.publisher import publish
from image_moderation.brokers.rabbitmq.topology import EXCHANGE, declare, queue_name
from image_moderation.domain.errors import BrokerUnavailable
from image_moderation.domain.message import Outgoing
from image_moderation.events.models import DEAD_LETTER_CHANNEL


class RabbitmqDeadLetters:
    """The dead letters of one group. See `port.DeadLetterQueue`."""

    purge_note = ""

    def __init__(self, connection: AbstractConnection, group: str) -> None:
        """`connection` stays the caller's to close."""
        self._connection = connection
        self._group = group
        self._queue: AbstractQueue | None = None
        self._count = 0
        self._held: dict[str, AbstractIncomingMessage] = {}

    async def _open(self) -> AbstractQueue:
        if self._queue is None:
            channel = await self._connection.channel()
            self._count = await declare(channel, self._group, DEAD_LETTER_CHANNEL)
            self._queue = await channel.get_queue(queue_name(self._group, DEAD_LETTER_CHANNEL), ensure=False)
        return self._queue

    async def count(self) -> int:
        """See `port.DeadLetterQueue`."""
        async with errors():
            await self._open()
        return self._count

    async def entries(self) -> AsyncIterator[tuple[str, bytes]]:
        """See `port.DeadLetterQueue`."""
        async with errors():
            queue = await self._open()
        while True:
            async with errors():
                message = await queue.get(no_ack=False, fail=False)
            if message is None:
                return
            entry = str(message.delivery_tag)
            self._held[entry] = message
            yield entry, message.body

    async def body(self, entry: str) -> bytes | None:
        """See `port.DeadLetterQueue`."""
        message = self._held.get(entry)
        return None if message is None else message.body

    async def resend(self, entries: Sequence[str], message: Outgoing) -> str | None:
        """See `port.DeadLetterQueue`."""
        if not all(entry in self._held for entry in entries):
            return None
        async with errors():
            channel = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
            (taken,) = await publish(await channel.get_exchange(EXCHANGE, ensure=False), [message])
            await channel.close()
        if not taken:
            raise BrokerUnavailable(f"{message.channel}: nobody has bound a queue to it")
        await self.remove(entries)
        return ""

    async def remove(self, entries: Sequence[str]) -> int:
        """See `port.DeadLetterQueue`."""
        held = [self._held.pop(entry) for entry in entries if entry in self._held]
        async with errors():
            for message in held:
                await message.ack()
        return len(held)

    async def close(self) -> None:
        """Give back what was looked at. Without a connection the server does that by itself."""
        with suppress(AMQPError, OSError, RuntimeError):
            for message in self._held.values():
                await message.nack()
