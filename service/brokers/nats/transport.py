"""NATS JetStream: reports and verdicts arrive through durable pull consumers, decisions leave on subjects.

FastStream reads, several readers at once on the same durable. Nothing is parsed here. While a batch is in
hand the server is told so, for it would otherwise deliver it again.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import structlog
from faststream import AckPolicy
from faststream.message import StreamMessage
from faststream.nats import JStream, NatsBroker, PullSub
from faststream.nats.prometheus import NatsPrometheusMiddleware
from faststream.nats.subscriber.usecases import BatchPullStreamSubscriber
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error
from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig

from service.brokers import port
from service.brokers.nats.connection import PATIENCE, connection_options, errors, within
from service.brokers.nats.publishing import publish
from service.brokers.nats.stream import STREAM, durable_name, ensure_consumer, next_message, trim
from service.brokers.port import INCOMING, Figures, Handler, Options
from service.domain.decision import Publication
from service.domain.errors import BrokerUnavailable
from service.domain.message import NO_HEADERS, DeadLetter, RawMessage
from service.events.models import REPORTED_CHANNEL
from service.events.render import dead_letter_message

LANES = 3
"""Readers of the busy channel, so that one waits for the store while another is given its messages."""
POLL = 1.0
"""Seconds that a reader waits for a first message."""
GATHERING = 0.005
"""Seconds that further messages may take to make it a batch."""
BREATH = 0.5
"""Seconds between attempts to read where there is nothing to read from."""

log = structlog.get_logger(__name__)


class _Reader(BatchPullStreamSubscriber):
    """FastStream's own waits for a batch to fill up; this one takes what is there."""

    __slots__ = ()

    async def _consume_pull(self) -> None:
        subscription: Any = self.subscription
        while self.running:
            messages: list[Msg] = []
            try:
                messages += await subscription.fetch(1, timeout=POLL)
                if self.pull_sub.batch_size > 1:
                    messages += await subscription.fetch(self.pull_sub.batch_size - 1, timeout=GATHERING)
            except TimeoutError:
                pass
            except asyncio.CancelledError:
                await _give_back(messages)
                raise
            except Error:
                await asyncio.sleep(BREATH)  # the watchdog says what is wrong
            if messages and self.running:
                await self.consume(messages)
            else:
                await _give_back(messages)


async def _give_back(messages: Sequence[Msg]) -> None:
    """Let the server deliver at once what was fetched and not begun."""
    with suppress(Error):
        for message in messages:
            await message.nak()


async def _as_read(messages: list[Msg]) -> StreamMessage[Any]:
    """FastStream's parser, in place of its own: nothing is looked into."""
    return StreamMessage(raw_message=messages, body=b"")


async def _as_raw_messages(message: StreamMessage[Any]) -> list[RawMessage]:
    """FastStream's decoder: messages as they came."""
    return [raw_message(one) for one in message.raw_message]


def raw_message(message: Msg) -> RawMessage:
    """What stands in the subject to answer to: `$JS.ACK.stream.durable.deliveries.sequence.number.time.left`,
    with a domain and an account in front of the stream on newer servers.
    """
    parts = message.reply.split(".")
    at = 4 if len(parts) == 9 else 6
    headers = NO_HEADERS if message.headers is None else dict(message.headers)
    return RawMessage(
        message.subject,
        parts[at + 1],
        message.data,
        int(parts[at + 3]) // 1_000_000,
        int(parts[at]),
        headers,
        message.reply,
    )


class NatsTransport:
    """The transport over JetStream. See `port.Transport`."""

    def __init__(self, options: Options) -> None:
        """Nothing is connected before `start`.

        Raises:
            Misconfigured: the group's name can't be a durable's.
        """
        self._options = options
        self._ack_wait = port.REDELIVER_AFTER / 1000
        self._durables = {channel: durable_name(options.group, channel) for channel in INCOMING}
        self._in_hand: dict[str, Sequence[RawMessage]] = {}
        self._keeper: asyncio.Task[None] | None = None
        self._handler: Handler
        port.leave_restarting_to_the_watchdog()
        self._broker = NatsBroker(
            **connection_options(options.url),
            apply_types=False,
            logger=None,
            middlewares=(NatsPrometheusMiddleware(registry=options.registry),) if options.registry else (),
        )
        for channel, durable in self._durables.items():
            for _ in range(LANES if channel == REPORTED_CHANNEL else 1):
                subscriber: Any = self._broker.subscriber(
                    channel,
                    durable=durable,
                    stream=JStream(STREAM, declare=False),
                    pull_sub=PullSub(options.batch_size, timeout=POLL, batch=True),
                    config=ConsumerConfig(filter_subject=channel),
                    ack_policy=AckPolicy.MANUAL,
                    parser=_as_read,
                    decoder=_as_raw_messages,
                )
                subscriber.__class__ = _Reader
                subscriber(self._handle)

    @property
    def _client(self) -> Client:
        client: Client = self._broker.config.connection_state.connection
        return client

    @property
    def _jetstream(self) -> JetStreamContext:
        jetstream: JetStreamContext = self._broker.config.connection_state.stream
        return jetstream

    async def start(self, handler: Handler) -> None:
        """See `port.Transport`."""
        self._handler = handler
        async with errors():
            await within(self._broker.connect())
            for channel in INCOMING:
                await self._ensure(channel)
            await within(self._broker.start())
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep())

    async def _ensure(self, channel: str) -> Any:
        return await ensure_consumer(
            self._jetstream,
            channel,
            self._durables[channel],
            ack_wait=self._ack_wait,
            most_pending=2 * LANES * self._options.batch_size,
        )

    async def _handle(self, messages: list[RawMessage]) -> None:
        key = messages[0].handle
        self._in_hand[key] = messages
        try:
            await self._handler(messages)
        finally:
            del self._in_hand[key]

    async def _keep(self) -> None:
        """Tell the server of everything in hand that it is being worked on, so that it waits on."""
        while True:
            await asyncio.sleep(self._ack_wait / 3)
            with suppress(Error):
                for messages in list(self._in_hand.values()):
                    for message in messages:
                        await self._client.publish(message.handle, b"+WPI")

    async def revive(self) -> None:
        """See `port.Transport`. A deleted durable or stream is silence, so both are looked for."""
        for subscriber in self._broker.subscribers:
            tasks: list[asyncio.Task[Any]] = subscriber.tasks  # type: ignore[attr-defined]
            if not subscriber.running or not tasks or any(task.done() for task in tasks):
                log.warning("reader_restarted", subject=subscriber.subject.template)  # type: ignore[attr-defined]
                async with errors():
                    await subscriber.stop()
                    await within(subscriber.start())
        async with errors():
            for channel in INCOMING:
                await self._ensure(channel)

    async def ack(self, messages: Sequence[RawMessage]) -> None:
        """See `intake.ports.Source`. The server has seen all of them once it answers the flush."""
        async with errors():
            for message in messages:
                await self._client.publish(message.handle, b"+ACK")
            await self._client.flush(timeout=int(PATIENCE))

    async def park(self, letters: Sequence[DeadLetter]) -> None:
        """See `intake.ports.Source`."""
        now = self._options.clock()
        async with errors():
            await publish(self._jetstream, [dead_letter_message(letter, now) for letter in letters])

    async def publish(self, publications: Sequence[Publication]) -> Sequence[bool]:
        """See `outbox.ports.Publisher`."""
        async with errors():
            await publish(self._jetstream, [publication.message for publication in publications])
        return [True] * len(publications)

    async def reclaim(self) -> None:
        """The server itself delivers again what nobody has answered for in time."""

    async def tidy(self) -> None:
        """See `port.Transport`: purge what every consumer has acked."""
        async with errors():
            for channel in INCOMING:
                await trim(self._jetstream, channel)

    async def figures(self) -> Figures:
        """See `port.Transport`."""
        lag = pending = 0
        oldest = self._options.clock()
        async with errors():
            if not self._client.is_connected:
                raise BrokerUnavailable("not connected")
            for channel in INCOMING:
                info = await self._ensure(channel)
                lag += info.num_pending or 0
                pending += info.num_ack_pending or 0
                if info.num_ack_pending:
                    first = await next_message(self._jetstream, channel, info.ack_floor.stream_seq + 1)
                    if first is not None and first.time is not None:
                        oldest = min(oldest, int(first.time.timestamp() * 1000))
        age = max(0.0, (self._options.clock() - oldest) / 1000) if pending else 0.0
        return Figures(lag, pending, age)

    async def stop(self, patience: float) -> None:
        """See `port.Transport`."""
        self._broker.config.broker_config.graceful_timeout = patience
        with suppress(TimeoutError, Error, OSError):
            async with asyncio.timeout(patience + 0.5):
                await asyncio.gather(*(subscriber.stop() for subscriber in self._broker.subscribers))
        if self._keeper is not None:
            self._keeper.cancel()
            self._keeper = None
        client: Client | None = self._broker._connection  # noqa: SLF001 - no public name for "if any"
        if client is not None:
            with suppress(TimeoutError, Error, OSError):
                await within(client.close(), 1)
