"""What the command line does with a RabbitMQ server, outside the service's queues."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aio_pika.abc import AbstractConnection, AbstractIncomingMessage

from image_moderation.brokers.rabbitmq.connection import errors
from image_moderation.brokers.rabbitmq.publisher import publish
from image_moderation.brokers.rabbitmq.topology import EXCHANGE, QUEUED, declare
from image_moderation.domain.errors import BrokerUnavailable, Unsupported
from image_moderation.domain.message import Outgoing


class RabbitmqClient:
    """Publishes, and follows routing keys. See `port.BrokerClient`."""

    def __init__(self, connection: AbstractConnection, group: str) -> None:
        """`connection` stays the caller's to close."""
        self._connection = connection
        self._group = group

    async def publish(self, messages: Sequence[Outgoing]) -> list[str]:
        """See `port.BrokerClient`. Positions there are none."""
        async with errors():
            channel = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
            for one in QUEUED:
                await declare(channel, self._group, one)  # else it would be lost before the first start
            taken = await publish(await channel.get_exchange(EXCHANGE, ensure=False), messages)
        if not all(taken):
            lost = messages[taken.index(False)].channel
            raise BrokerUnavailable(f"{lost}: nobody has bound a queue to it, so RabbitMQ keeps nothing")
        return [""] * len(messages)

    @asynccontextmanager
    async def follow(
        self, channels: Sequence[str], *, from_start: bool
    ) -> AsyncIterator[AsyncIterator[tuple[str, str, bytes]]]:
        """See `port.BrokerClient`."""
        if from_start:
            raise Unsupported("RabbitMQ keeps no event that has been consumed: leave out --from-start")
        arrived: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
        async with errors():
            channel = await self._connection.channel()
            await declare(channel, self._group, QUEUED[0])
            queue = await channel.declare_queue(exclusive=True, auto_delete=True)
            for one in channels:
                await queue.bind(EXCHANGE, routing_key=one)
            await queue.consume(arrived.put, no_ack=True)
        yield self._messages(arrived)

    async def _messages(
        self, arrived: "asyncio.Queue[AbstractIncomingMessage]"
    ) -> AsyncIterator[tuple[str, str, bytes]]:
        while True:
            try:
                async with asyncio.timeout(1):
                    message = await arrived.get()
            except TimeoutError:
                # Its `is_closed` says whether this side has closed it.
                if not self._connection.connected.is_set():
                    raise BrokerUnavailable("the connection was lost") from None
                continue
            yield message.routing_key or "", message.message_id or "", message.body
