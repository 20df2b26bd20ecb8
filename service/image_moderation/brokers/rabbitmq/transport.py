"""RabbitMQ: reports and verdicts arrive in the group's quorum queues, decisions leave by the exchange."""

import asyncio
from collections.abc import Sequence
from typing import Any

import structlog
from aio_pika.abc import AbstractConnection
from faststream import AckPolicy
from faststream.rabbit import RabbitExchange, RabbitQueue

from image_moderation.brokers.calls import TIMEOUT, within
from image_moderation.brokers.port import INCOMING, Figures, Options
from image_moderation.brokers.rabbitmq.connection import errors, make_broker
from image_moderation.brokers.rabbitmq.messages import decode_batch
from image_moderation.brokers.rabbitmq.publisher import RabbitmqPublisher
from image_moderation.brokers.rabbitmq.reader import RabbitmqReader, ReaderState
from image_moderation.brokers.rabbitmq.topology import EXCHANGE, Topology, queue_name
from image_moderation.brokers.reader import parse_batch
from image_moderation.brokers.transport import BaseTransport
from image_moderation.domain.errors import BrokerUnavailable
from image_moderation.domain.message import RawMessage

log = structlog.get_logger(__name__)


class RabbitmqTransport(BaseTransport):
    """The transport over RabbitMQ. Each incoming channel has a queue of the group."""

    readers: Sequence[RabbitmqReader]
    _topology: Topology
    """There is one once `connect` has returned."""

    def __init__(self, options: Options) -> None:
        """Nothing is connected before `start`."""
        self.broker = make_broker(options)
        self._connection: AbstractConnection | None = None
        super().__init__(options, [self._reader(channel, options) for channel in INCOMING], errors)

    def _reader(self, channel: str, options: Options) -> RabbitmqReader:
        subscriber: Any = self.broker.subscriber(
            RabbitQueue(queue_name(options.group, channel), declare=False),
            RabbitExchange(EXCHANGE, declare=False),
            ack_policy=AckPolicy.MANUAL,
            parser=parse_batch,
            decoder=decode_batch,
        )
        return RabbitmqReader(channel, subscriber, options)

    async def connect(self) -> None:
        """See `BaseTransport`. The connection comes back by itself when it is lost."""
        # Longer than FastStream's own limit: an attempt that is cancelled would go on in the background.
        connection = await within(self.broker.connect(), 2 * TIMEOUT)
        if connection is not self._connection:
            self._connection = connection
            self._topology = Topology(connection, self.options.group)
            self.publisher = RabbitmqPublisher(connection)
            for reader in self.readers:
                reader.connection = connection

    async def ensure(self) -> None:
        """See `BaseTransport`.

        The server notifies the consumers of a deleted queue, but not if somebody declares it again at once.
        So a queue that is found missing stays missing until the next look, a second later: by then every
        replica has noticed.
        """
        await self._topology.declare_dead_letters(self.options.dead_letter_max_bytes)
        for reader in self.readers:
            before = reader.state
            state = reader.look(await self._topology.count(reader.channel))
            if state is ReaderState.DELETED and before is not ReaderState.DELETED:
                continue
            await self._topology.declare(reader.channel)
            if state is not ReaderState.HEALTHY:
                if reader.reading:
                    log.warning("reader_restarted", channel=reader.channel, error=state.value)
                await reader.restart()
        for reader in self.readers:
            if reader.state is ReaderState.DELETED:
                raise BrokerUnavailable(f"{reader.channel}: {reader.state.value}")

    async def ack(self, messages: Sequence[RawMessage]) -> None:
        channel = messages[0].channel
        await next(reader for reader in self.readers if reader.channel == channel).ack(messages)

    async def figures(self) -> Figures:
        """See `port.Transport`. The lag is the group's, what is pending this process's."""
        with errors():
            lag = sum([await self._topology.count(reader.channel) or 0 for reader in self.readers])
        now = asyncio.get_running_loop().time()
        ages = [now - batch.since for reader in self.readers for batch in reader.in_hand.values()]
        return Figures(lag, sum(reader.pending for reader in self.readers), max(ages, default=0.0))

    async def close(self) -> None:
        await self.broker.stop()
