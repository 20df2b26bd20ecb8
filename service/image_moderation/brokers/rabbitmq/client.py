"""Publishing and following for the command line, outside the service's queues."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aiormq
from aio_pika.abc import AbstractConnection
from aiormq.abc import DeliveredMessage

from image_moderation.brokers.calls import within
from image_moderation.brokers.port import INCOMING
from image_moderation.brokers.rabbitmq.connection import errors, open_channel
from image_moderation.brokers.rabbitmq.publisher import RabbitmqPublisher
from image_moderation.brokers.rabbitmq.topology import EXCHANGE, Topology
from image_moderation.domain.errors import BrokerUnavailable, Unsupported
from image_moderation.domain.message import Outgoing, RawMessage

POLL = 1.0
"""Seconds without a message after which the channel is checked."""


class RabbitmqClient:
    """Publishes, and follows routing keys. See `port.BrokerClient`."""

    def __init__(self, connection: AbstractConnection, group: str) -> None:
        """`connection` stays the caller's to close."""
        self._connection = connection
        self._topology = Topology(connection, group)
        self._publisher = RabbitmqPublisher(connection)

    async def publish(self, messages: Sequence[Outgoing]) -> list[str]:
        """See `port.BrokerClient`. Messages have no positions."""
        with errors():
            for channel in INCOMING:  # else what is published before the service's first start would be lost
                await self._topology.declare(channel)
            positions = await self._publisher.publish(messages)
        if None in positions:
            lost = messages[positions.index(None)].channel
            raise BrokerUnavailable(f"{lost}: no queue is bound to it, so RabbitMQ keeps nothing")
        return [""] * len(messages)

    def history(self, channels: Sequence[str]) -> AsyncIterator[RawMessage]:
        raise Unsupported(
            f"RabbitMQ shows what is in {channels[0]} to nobody without giving it away: "
            "record the reports in a file, as contracts/README.md says"
        )

    @asynccontextmanager
    async def follow(
        self, channels: Sequence[str], *, from_start: bool
    ) -> AsyncIterator[AsyncIterator[tuple[str, str, bytes]]]:
        if from_start:
            raise Unsupported("RabbitMQ keeps no event that has been consumed: leave out --from-start")
        arrived: asyncio.Queue[DeliveredMessage] = asyncio.Queue()
        with errors():
            await self._topology.declare(INCOMING[0])
            amqp = await open_channel(self._connection)
            queue = (await within(amqp.queue_declare(exclusive=True, auto_delete=True))).queue or ""
            for channel in channels:
                await within(amqp.queue_bind(queue, EXCHANGE, routing_key=channel))
            await within(amqp.basic_consume(queue, arrived.put, no_ack=True))
        yield self._messages(amqp, arrived)

    async def _messages(
        self, amqp: aiormq.Channel, arrived: "asyncio.Queue[DeliveredMessage]"
    ) -> AsyncIterator[tuple[str, str, bytes]]:
        while True:
            try:
                message = await within(arrived.get(), POLL)
            except TimeoutError:
                if amqp.is_closed:
                    raise BrokerUnavailable("the connection was lost") from None
                continue
            yield message.routing_key or "", message.header.properties.message_id or "", message.body
