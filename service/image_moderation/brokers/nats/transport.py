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
from faststream.nats import JStream, NatsBroker, PullSub
from faststream.nats.prometheus import NatsPrometheusMiddleware
from faststream.nats.security import NatsSecurity, NatsToken, NatsUserPassword
from nats.aio.client import Client
from nats.errors import Error
from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig, ConsumerInfo

from image_moderation.brokers import port
from image_moderation.brokers.nats.connection import connection_options, credentials
from image_moderation.brokers.nats.errors import PATIENCE, errors, within
from image_moderation.brokers.nats.publisher import publish
from image_moderation.brokers.nats.reader import POLL, Reader, as_raw_messages, as_read
from image_moderation.brokers.nats.topology import (
    STREAM,
    acked_up_to,
    durable_name,
    ensure_consumer,
    next_message,
    trim,
)
from image_moderation.brokers.port import INCOMING, Figures, Handler, Options
from image_moderation.domain.decision import Publication
from image_moderation.domain.errors import BrokerUnavailable
from image_moderation.domain.message import DeadLetter, RawMessage
from image_moderation.events.models import REPORTED_CHANNEL
from image_moderation.events.render import dead_letter_message

LANES = 3
"""Readers of the busy channel, so that one waits for the store while another is given its messages."""
MOST_PENDING = 20_000
"""Messages that all replicas together may have in hand; beyond, the server gives out no more."""

log = structlog.get_logger(__name__)


def _security(url: str) -> NatsSecurity | None:
    known = credentials(url)
    if "token" in known:
        return NatsToken(known["token"])
    return NatsUserPassword(known["user"], known["password"]) if known else None


class NatsTransport:
    """The transport over JetStream. See `port.Transport`."""

    def __init__(self, options: Options) -> None:
        """Nothing is connected before `start`.

        Raises:
            Misconfigured: the group's name can't be a durable's.
        """
        self._options = options
        self._ack_wait = self._wait = port.REDELIVER_AFTER / 1000
        self._durables = {channel: durable_name(options.group, channel) for channel in INCOMING}
        self._in_hand: dict[str, Sequence[RawMessage]] = {}
        self._seen: list[Exception] = []
        self._keeper: asyncio.Task[None] | None = None
        self._handler: Handler
        port.leave_restarting_to_the_watchdog()
        self._broker = NatsBroker(
            **connection_options(options.url, self._seen),
            security=_security(options.url),
            apply_types=False,
            logger=None,
            middlewares=options.middlewares(NatsPrometheusMiddleware),
        )
        # A reader that died asks no more by the time its messages are due: a server that finds nobody but the
        # dead to give them to loses count of the deliveries (2.9 does).
        poll = min(POLL, self._ack_wait / 4)
        self._readers: list[Reader] = []
        for channel, durable in self._durables.items():
            for _ in range(LANES if channel == REPORTED_CHANNEL else 1):
                subscriber: Any = self._broker.subscriber(
                    channel,
                    durable=durable,
                    stream=JStream(STREAM, declare=False),
                    pull_sub=PullSub(options.batch_size, timeout=poll, batch=True),
                    config=ConsumerConfig(filter_subject=channel),
                    ack_policy=AckPolicy.MANUAL,
                    parser=as_read,
                    decoder=as_raw_messages,
                )
                subscriber.__class__ = Reader
                subscriber(self._handle)
                self._readers.append(subscriber)

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
        async with errors(self._seen):
            await within(self._broker.connect())
            for channel in INCOMING:
                await self._ensure(channel)
            await within(self._broker.start())
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep())

    async def _ensure(self, channel: str) -> ConsumerInfo:
        info = await ensure_consumer(
            self._jetstream,
            channel,
            self._durables[channel],
            ack_wait=self._ack_wait,
            most_pending=max(MOST_PENDING, 2 * LANES * self._options.batch_size),
        )
        # Its operator may have made it with less.
        self._wait = min(self._wait, info.config.ack_wait or self._wait)
        return info

    def _online(self) -> None:
        """While it reconnects, the client would keep what it is told and send it late."""
        if not self._client.is_connected:
            raise BrokerUnavailable("not connected")

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
            await asyncio.sleep(self._wait / 3)
            with suppress(Error):
                for messages in list(self._in_hand.values()):
                    for message in messages:
                        if self._client.is_connected:
                            await self._client.publish(message.handle, b"+WPI")

    async def revive(self) -> None:
        """See `port.Transport`. A deleted durable or stream is silence, so both are looked for."""
        async with errors():
            self._online()
            for channel in INCOMING:
                await self._ensure(channel)
            for reader in self._readers:
                if reader.running and reader.tasks and not any(task.done() for task in reader.tasks):
                    continue
                log.warning("reader_restarted", subject=reader.subject.template)
                await reader.stop()
                await within(reader.start())
        refused = next((reader.refused for reader in self._readers if reader.refused), "")
        if refused:
            raise BrokerUnavailable(f"the server gives no messages: {refused}")

    async def ack(self, messages: Sequence[RawMessage]) -> None:
        """See `intake.ports.Source`. The server has seen all of them once it answers the flush."""
        async with errors():
            self._online()
            client = self._client
            for message in messages:
                await client.publish(message.handle, b"+ACK")
            await client.flush(timeout=int(PATIENCE))

    async def park(self, letters: Sequence[DeadLetter]) -> None:
        """See `intake.ports.Source`."""
        now = self._options.clock()
        async with errors():
            self._online()
            await publish(self._jetstream, [dead_letter_message(letter, now) for letter in letters])

    async def publish(self, publications: Sequence[Publication]) -> Sequence[bool]:
        """See `outbox.ports.Publisher`."""
        async with errors():
            self._online()
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
            self._online()
            for channel in INCOMING:
                info = await self._ensure(channel)
                lag += info.num_pending or 0
                pending += info.num_ack_pending or 0
                if info.num_ack_pending:
                    first = await next_message(self._jetstream, channel, acked_up_to(info) + 1)
                    if first is not None and first.time is not None:
                        oldest = min(oldest, int(first.time.timestamp() * 1000))
        age = max(0.0, (self._options.clock() - oldest) / 1000) if pending else 0.0
        return Figures(lag, pending, age)

    async def stop(self, patience: float) -> None:
        """See `port.Transport`."""
        self._broker.config.broker_config.graceful_timeout = patience
        tasks = [task for reader in self._readers for task in reader.tasks]
        with suppress(TimeoutError, Error, OSError):
            async with asyncio.timeout(patience + 0.5):
                await asyncio.gather(*(reader.stop() for reader in self._readers))
        if self._keeper is not None:
            self._keeper.cancel()
            tasks.append(self._keeper)
            self._keeper = None
        if tasks:
            await asyncio.wait(tasks, timeout=0.5)  # they give back what they had not begun
        client: Client | None = self._broker._connection  # noqa: SLF001 - no public name for "if any"
        if client is not None:
            with suppress(TimeoutError, Error, OSError):
                await within(client.close(), 1)
