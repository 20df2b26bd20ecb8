"""Publishing, following and reading what is there for the command line, outside any consumer group."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import ConsumerConfig, DeliverPolicy

from image_moderation.brokers.nats.connection import errors
from image_moderation.brokers.nats.history import history
from image_moderation.brokers.nats.publisher import NatsPublisher
from image_moderation.brokers.nats.topology import STREAM, Stream
from image_moderation.domain.errors import BrokerUnavailable
from image_moderation.domain.message import Outgoing, RawMessage

AHEAD = 1_000
"""Messages of a followed channel that may wait to be shown."""
POLL = 1.0
"""Seconds between looks at the connection while nothing arrives."""


class NatsClient:
    """Publishes, and follows subjects. See `port.BrokerClient`."""

    def __init__(self, client: Client, replicas: int) -> None:
        """`client` stays the caller's to close; `replicas` is that of `Stream`."""
        self._client = client
        self._jetstream = client.jetstream()
        self._stream = Stream(self._jetstream, replicas)
        self._publisher = NatsPublisher(client, self._jetstream)

    async def publish(self, messages: Sequence[Outgoing]) -> list[str]:
        with errors():
            await self._stream.ensure()
            return [str(position) for position in await self._publisher.publish(messages)]

    def history(self, channels: Sequence[str]) -> AsyncIterator[RawMessage]:
        return history(self._stream, channels)

    @asynccontextmanager
    async def follow(
        self, channels: Sequence[str], *, from_start: bool
    ) -> AsyncIterator[AsyncIterator[tuple[str, str, bytes]]]:
        arrived: asyncio.Queue[Msg] = asyncio.Queue(AHEAD)
        policy = DeliverPolicy.ALL if from_start else DeliverPolicy.NEW
        reconnects = self._client.stats["reconnects"]
        with errors():
            await self._stream.ensure()
            subscriptions = [
                await self._jetstream.subscribe(
                    channel,
                    stream=STREAM,
                    ordered_consumer=True,
                    config=ConsumerConfig(deliver_policy=policy),
                    cb=arrived.put,
                )
                for channel in channels
            ]
        try:
            yield self._messages(arrived, reconnects)
        finally:
            if self._client.is_connected:
                for subscription in subscriptions:
                    await subscription.unsubscribe()

    async def _messages(
        self, arrived: "asyncio.Queue[Msg]", reconnects: int
    ) -> AsyncIterator[tuple[str, str, bytes]]:
        while True:
            try:
                async with asyncio.timeout(POLL):
                    message = await arrived.get()
            except TimeoutError:
                # A restarted server has lost the subscriptions' consumers, which live in its memory.
                if not self._client.is_connected or self._client.stats["reconnects"] > reconnects:
                    raise BrokerUnavailable("the connection was lost") from None
                continue
            yield message.subject, str(message.metadata.sequence.stream), message.data
