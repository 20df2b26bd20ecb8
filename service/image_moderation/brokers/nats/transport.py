"""NATS JetStream: reports and verdicts arrive through durable pull consumers, decisions leave on subjects."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import structlog
from faststream import AckPolicy
from faststream.nats import JStream, PullSub
from faststream.nats.prometheus import NatsPrometheusMiddleware
from nats.aio.client import Client

from image_moderation.brokers.calls import TIMEOUT
from image_moderation.brokers.nats.connection import (
    PURGE_IS_SAFE,
    Connection,
    errors,
    replicas_of,
    require_connection,
    server_version,
    telemetry,
)
from image_moderation.brokers.nats.dead_letter_limit import DeadLetterLimit
from image_moderation.brokers.nats.messages import decode_batch
from image_moderation.brokers.nats.publisher import NatsPublisher
from image_moderation.brokers.nats.reader import NatsReader
from image_moderation.brokers.nats.topology import STREAM, Durable, Stream, durable_name
from image_moderation.brokers.port import INCOMING, Figures, Options
from image_moderation.brokers.reader import parse_batch
from image_moderation.brokers.transport import BaseTransport
from image_moderation.domain.errors import BrokerUnavailable
from image_moderation.domain.message import RawMessage
from image_moderation.events.models import REPORTED_CHANNEL

LANES = 3
"""Of the busy channel, so that one waits for the store while another is given its messages."""


log = structlog.get_logger(__name__)


class NatsTransport(BaseTransport):
    """The transport over JetStream. Each channel has a durable."""

    readers: Sequence[NatsReader]
    _client: Client
    """There is one once `connect` has returned."""

    def __init__(self, options: Options) -> None:
        """Nothing is connected before `start`.

        Raises:
            Misconfigured: the group's name is not valid for a durable.
        """
        self._connection = Connection(
            options.url, middlewares=options.middlewares(NatsPrometheusMiddleware, telemetry)
        )
        self.broker = self._connection.broker
        self._durables: list[Durable] = []
        self._limit: DeadLetterLimit | None = None
        self._keeper: asyncio.Task[None] | None = None
        super().__init__(
            options, [self._reader(channel, options) for channel in INCOMING], self._connection.errors
        )

    def _reader(self, channel: str, options: Options) -> NatsReader:
        subscriber: Any = self.broker.subscriber(
            channel,
            durable=durable_name(options.group, channel),
            stream=JStream(STREAM, declare=False),
            pull_sub=PullSub(options.batch_size, batch=True),
            ack_policy=AckPolicy.MANUAL,
            parser=parse_batch,
            decoder=decode_batch,
        )
        return NatsReader(channel, subscriber, options, lanes=LANES if channel == REPORTED_CHANNEL else 1)

    async def connect(self) -> None:
        self._client = await self._connection.connect()
        version = server_version(self._client)
        if version < PURGE_IS_SAFE:
            log.warning("stream_not_trimmed", server_version=".".join(map(str, version)))
        jetstream = self._client.jetstream()
        self.publisher = NatsPublisher(self._client, jetstream)
        stream = Stream(jetstream, replicas_of(self.options.url))
        await stream.ensure()
        self._durables = [Durable(stream, channel, self.options) for channel in INCOMING]
        if self.options.dead_letter_max_bytes is not None:
            self._limit = DeadLetterLimit(
                jetstream, self.options.dead_letter_max_bytes, may_purge=version >= PURGE_IS_SAFE
            )
        for reader in self.readers:
            reader.client = self._client

    async def ensure(self) -> None:
        """See `BaseTransport`. A deleted durable is silence for who pulls from it, so each is looked up."""
        require_connection(self._client)
        for durable in self._durables:
            await durable.ensure()
        if self._keeper is None or self._keeper.done():
            self._keeper = asyncio.create_task(self._keep_alive())

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(min(durable.ack_wait for durable in self._durables) / 3)
            with suppress(BrokerUnavailable), errors():
                for reader in self.readers:
                    await reader.keep_alive()

    async def ack(self, messages: Sequence[RawMessage]) -> None:
        """See `intake.ports.Source`. The server has taken all of them once it answers the flush."""
        require_connection(self._client)
        with errors():
            for message in messages:
                await self._client.publish(message.handle, b"+ACK")
            await self._client.flush(timeout=int(TIMEOUT))

    async def tidy(self) -> None:
        """See `port.Transport`: purge what every consumer has acked, if the server can do that safely.

        Then drop the dead letters that are too much.
        """
        with errors():
            if server_version(self._client) >= PURGE_IS_SAFE:
                for durable in self._durables:
                    await durable.trim()
            if self._limit is not None:
                await self._limit.keep()

    async def figures(self) -> Figures:
        require_connection(self._client)
        now = self.options.clock()
        with self.errors():
            return Figures.total([await durable.figures(now) for durable in self._durables])

    async def close(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
        await self._connection.close()
