"""Publishing, following and reading what is there for the command line, outside any consumer group."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from confluent_kafka import Message

from image_moderation.brokers.kafka.connection import Admin, client_settings, errors
from image_moderation.brokers.kafka.history import history
from image_moderation.brokers.kafka.messages import body_of, offset_of, place_of
from image_moderation.brokers.kafka.publisher import KafkaPublisher
from image_moderation.brokers.kafka.reading import is_end, reading
from image_moderation.brokers.kafka.topology import end_offsets, ensure, first_offsets, places
from image_moderation.domain.message import Outgoing, RawMessage

ASK_AFTER = 5
"""Empty pages after which the cluster is asked whether it is still there: the client would wait for ever."""


class KafkaClient:
    """Publishes, and follows topics. See `port.BrokerClient`."""

    def __init__(self, url: str) -> None:
        """Nothing is asked of the cluster yet.

        Raises:
            Misconfigured: the URL asks for something unknown.
        """
        self._settings = client_settings(url)
        self._admin = Admin(self._settings)
        self._publisher = KafkaPublisher(self._settings)

    async def publish(self, messages: Sequence[Outgoing]) -> list[str]:
        with errors():
            await asyncio.to_thread(ensure, self._admin, {message.channel for message in messages})
            return [position or "" for position in await self._publisher.publish(messages)]

    async def history(self, channels: Sequence[str]) -> AsyncIterator[RawMessage]:
        with errors():
            await asyncio.to_thread(ensure, self._admin, channels)
            found = await asyncio.to_thread(places, self._admin, channels)
            begin = await asyncio.to_thread(first_offsets, self._admin, found)
            end = await asyncio.to_thread(end_offsets, self._admin, found)
        async for message in history(self._settings, begin, end):
            yield message

    @asynccontextmanager
    async def follow(
        self, channels: Sequence[str], *, from_start: bool
    ) -> AsyncIterator[AsyncIterator[tuple[str, str, bytes]]]:
        with errors():
            await asyncio.to_thread(ensure, self._admin, channels)
            found = await asyncio.to_thread(places, self._admin, channels)
            # Asked for now: the client by itself would look for the end when it first reads.
            begin = await asyncio.to_thread(first_offsets if from_start else end_offsets, self._admin, found)
        async with reading(self._settings, begin) as pages:
            yield self._messages(channels, pages)

    async def _messages(
        self, channels: Sequence[str], pages: AsyncIterator[list[Message]]
    ) -> AsyncIterator[tuple[str, str, bytes]]:
        empty = 0
        while True:
            with errors():
                page = [message for message in await anext(pages) if not is_end(message)]
                page.sort(key=lambda message: message.timestamp()[1])  # as far as partitions allow
                empty = 0 if page else empty + 1
                if empty >= ASK_AFTER:
                    await asyncio.to_thread(places, self._admin, channels)
                    empty = 0
            for message in page:
                channel, partition = place_of(message)
                yield channel, f"{partition}:{offset_of(message)}", body_of(message)
