"""RabbitMQ: reports and verdicts arrive in the group's quorum queues, decisions leave by the exchange.

FastStream reads. The protocol knows no batches, so messages are gathered into micro-batches before the
framework sees them: one pass through it a batch, not one a message.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import structlog
from aio_pika.abc import AbstractChannel, AbstractExchange, AbstractRobustConnection
from aio_pika.message import IncomingMessage
from aiormq.exceptions import AMQPError
from faststream import AckPolicy
from faststream.message import StreamMessage
from faststream.rabbit import Channel, ExchangeType, RabbitBroker, RabbitExchange, RabbitQueue
from faststream.rabbit.prometheus import RabbitPrometheusMiddleware
from faststream.rabbit.schemas import QueueType
from faststream.rabbit.subscriber import RabbitSubscriber

from image_moderation.brokers.micro_batches import MicroBatches
from image_moderation.brokers.port import (
    INCOMING,
    Figures,
    Handler,
    Options,
    leave_restarting_to_the_watchdog,
)
from image_moderation.brokers.rabbitmq.acks import Acks
from image_moderation.brokers.rabbitmq.connection import errors, prepare_client, within
from image_moderation.brokers.rabbitmq.messages import answerable, channel_of, raw_message
from image_moderation.brokers.rabbitmq.publisher import publish
from image_moderation.brokers.rabbitmq.reader import Reader
from image_moderation.brokers.rabbitmq.topology import (
    EXCHANGE,
    QUEUE_ARGUMENTS,
    QUEUED,
    count,
    declare,
    queue_name,
)
from image_moderation.domain.decision import Publication
from image_moderation.domain.errors import BrokerUnavailable
from image_moderation.domain.message import DeadLetter, RawMessage
from image_moderation.events.models import DEAD_LETTER_CHANNEL
from image_moderation.events.render import dead_letter_message

LANES = 2
"""Batches of one channel that are worked on side by side."""
IDLE_AT_MOST = 3
"""Looks, a second apart, at a reader that is given nothing while messages wait."""
RESTART_LOOK = 0.05
"""Seconds between looks at a reader that is being restarted."""

log = structlog.get_logger(__name__)


async def _as_read(messages: list[IncomingMessage]) -> StreamMessage[Any]:
    """FastStream's parser, in place of its own: nothing is looked into."""
    return StreamMessage(raw_message=messages[0], body=messages)


async def _as_raw_messages(message: StreamMessage[Any]) -> list[RawMessage]:
    """FastStream's decoder: messages as they came."""
    messages: Any = message.body
    return [raw_message(one) for one in messages]


async def _work(subscriber: RabbitSubscriber, messages: list[IncomingMessage]) -> None:
    """Give a batch to FastStream. While a reader starts anew, that would swallow it, unacked; and what is
    never acked holds up all later acks.
    """
    while not subscriber.running:  # noqa: ASYNC110 - FastStream tells nobody when that changes
        await asyncio.sleep(RESTART_LOOK)
    batch: Any = answerable(messages)
    if batch:
        await RabbitSubscriber.consume(subscriber, batch)


class RabbitmqTransport:
    """The transport over RabbitMQ. See `port.Transport`."""

    def __init__(self, options: Options) -> None:
        """Nothing is connected before `start`."""
        self._options = options
        self._acks = Acks()
        self._began: dict[int, float] = {}
        self._readers: list[Reader] = []
        # One batch for each lane, and one to come.
        self._prefetch = (LANES + 1) * options.batch_size
        self._connection: AbstractRobustConnection
        self._control: AbstractChannel | None = None
        self._exchange: AbstractExchange | None = None
        self._handler: Handler
        leave_restarting_to_the_watchdog()
        prepare_client()
        self._broker = RabbitBroker(
            options.url,
            timeout=5.0,
            reconnect_interval=1.0,
            # A reader is restarted beside the batches it has in hand; `stop` has a patience of its own.
            graceful_timeout=0.1,
            apply_types=False,
            logger=None,
            middlewares=options.middlewares(RabbitPrometheusMiddleware),
        )
        exchange = RabbitExchange(EXCHANGE, type=ExchangeType.TOPIC, durable=True)
        arguments: Any = {name: value for name, value in QUEUE_ARGUMENTS.items() if name != "x-queue-type"}
        for channel in INCOMING:
            subscriber: Any = self._broker.subscriber(
                RabbitQueue(
                    queue_name(options.group, channel),
                    queue_type=QueueType.QUORUM,
                    durable=True,
                    routing_key=channel,
                    arguments=arguments,
                ),
                exchange,
                channel=Channel(prefetch_count=self._prefetch),
                ack_policy=AckPolicy.MANUAL,
                parser=_as_read,
                decoder=_as_raw_messages,
            )
            subscriber(self._handle)
            work = partial(_work, subscriber)
            batches: Any = MicroBatches(work, most=options.batch_size, at_once=LANES)
            self._readers.append(Reader(channel, subscriber, batches))
            subscriber.consume = batches.add

    async def start(self, handler: Handler) -> None:
        """See `port.Transport`."""
        self._handler = handler
        async with errors():
            connection: Any = await within(self._broker.connect())
            self._connection = connection
            for channel in QUEUED:
                await self._declare(channel)
            for reader in self._readers:
                await within(reader.subscriber.stop())  # what an earlier call may have left half started
            await within(self._broker.start())
            for reader in self._readers:
                await within(reader.subscribed())  # so that it hears of its end

    async def _declare(self, channel: str) -> int:
        """Make the group's queue of a channel if it is missing; return how much waits in it."""
        return await within(declare(await self._controlling(), self._options.group, channel))

    async def _count(self, channel: str) -> int | None:
        """How much waits in the group's queue of a channel; None where it is missing."""
        control = await self._controlling()
        waiting = await within(count(control, self._options.group, channel))
        if waiting is None:
            self._control = None
            await within(control.close())
        return waiting

    async def _controlling(self) -> AbstractChannel:
        if self._control is None or self._control.is_closed:
            self._control = await within(self._connection.channel(publisher_confirms=False))
        return self._control

    async def _handle(self, messages: list[RawMessage]) -> None:
        key = id(messages)
        self._began[key] = asyncio.get_running_loop().time()
        try:
            await self._handler(messages)
        finally:
            del self._began[key]

    async def revive(self) -> None:
        """See `port.Transport`. Of a deleted queue the server tells its consumers, but not where it is made
        anew at once: then messages wait beside a reader that is given none, or are given to nobody. So a
        missing queue stays missing for a second, in which every replica notices.
        """
        for reader in self._readers:
            # While the store is away they would pile up with every new connection.
            reader.batches.keep(answerable)
        async with errors():
            await self._declare(DEAD_LETTER_CHANNEL)
            for reader in self._readers:
                if not reader.cancelled and await self._count(reader.channel) is None:
                    reader.cancelled = True
                    continue
                waiting = await self._declare(reader.channel)
                reader.idle = reader.idle + 1 if waiting and not reader.batches.held else 0
                was_lost, reader.lost = reader.lost, not await within(reader.subscribed())
                if reader.cancelled or reader.idle >= IDLE_AT_MOST or (reader.lost and was_lost):
                    log.warning("reader_restarted", channel=reader.channel)
                    await within(reader.restart(self._prefetch))
        if any(reader.lost or reader.cancelled for reader in self._readers):
            raise BrokerUnavailable("a reader has lost its queue, or is about to be given it again")

    async def ack(self, messages: Sequence[RawMessage]) -> None:
        """See `intake.ports.Source`."""
        tags: dict[Any, list[int]] = {}
        for message in messages:
            if channel := channel_of(message.handle):
                tags.setdefault(channel, []).append(message.handle.delivery_tag)
        with suppress(AMQPError, RuntimeError):  # a channel that breaks now has given them back
            for channel, some in tags.items():
                await self._acks.done(channel, some)

    async def park(self, letters: Sequence[DeadLetter]) -> None:
        """See `intake.ports.Source`."""
        now = self._options.clock()
        async with errors():
            taken = await self._publish([dead_letter_message(letter, now) for letter in letters])
        if not all(taken):
            raise BrokerUnavailable("the queue of dead letters is not there")

    async def publish(self, publications: Sequence[Publication]) -> Sequence[bool]:
        """See `outbox.ports.Publisher`."""
        async with errors():
            return await self._publish([publication.message for publication in publications])

    async def _publish(self, messages: Sequence[Any]) -> list[bool]:
        if self._exchange is None:
            channel = await within(self._connection.channel(publisher_confirms=True, on_return_raises=True))
            self._exchange = await channel.get_exchange(EXCHANGE, ensure=False)
        return await publish(self._exchange, messages)

    async def reclaim(self) -> None:
        """The server itself gives back what a closed channel had in hand."""

    async def tidy(self) -> None:
        """The server itself drops what has been acked."""

    async def figures(self) -> Figures:
        """See `port.Transport`. What waits is of the group, what is in hand of this process."""
        async with errors():
            lag = sum([await self._count(channel) or 0 for channel in INCOMING])
        now = asyncio.get_running_loop().time()
        age = max((now - began for began in self._began.values()), default=0.0)
        return Figures(lag, sum(reader.batches.held for reader in self._readers), age)

    async def stop(self, patience: float) -> None:
        """See `port.Transport`."""
        self._broker.config.broker_config.graceful_timeout = patience
        with suppress(TimeoutError, AMQPError, OSError, RuntimeError):
            async with asyncio.timeout(patience + 0.5):
                await asyncio.gather(*(subscriber.stop() for subscriber in self._broker.subscribers))
        for reader in self._readers:
            reader.batches.cancel()
        self._broker.config.broker_config.graceful_timeout = 0.1
        with suppress(TimeoutError, AMQPError, OSError, RuntimeError):
            await within(self._broker.stop(), 1)
