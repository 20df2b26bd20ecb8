"""What the command line does with a Kafka cluster, outside any consumer group."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from confluent_kafka import Message
from confluent_kafka.admin import AdminClient

from image_moderation.brokers.kafka.connection import client_settings, errors
from image_moderation.brokers.kafka.log_reading import body_of, is_end, place_of, reading
from image_moderation.brokers.kafka.publisher import Publisher
from image_moderation.brokers.kafka.topology import begins, ends, ensure, places
from image_moderation.domain.message import Outgoing

ASK_AFTER = 5
"""Empty pages after which the cluster is asked whether it is still there: the client would wait for ever."""


class KafkaClient:
    """Publishes, and follows topics. See `port.BrokerClient`."""

    def __init__(self, url: str) -> None:
        """Nothing is connected before it is needed.

        Raises:
            Misconfigured: the URL asks for something unknown.
        """
        self._settings = client_settings(url)
        self._publisher = Publisher(self._settings)

    async def publish(self, messages: Sequence[Outgoing]) -> list[str]:
        """See `port.BrokerClient`."""
        admin = AdminClient(self._settings)
        async with errors():
            await asyncio.to_thread(ensure, admin, {message.channel for message in messages})
            return await self._publisher.publish(messages)

    @asynccontextmanager
    async def follow(
        self, channels: Sequence[str], *, from_start: bool
    ) -> AsyncIterator[AsyncIterator[tuple[str, str, bytes]]]:
        """See `port.BrokerClient`."""
        admin = AdminClient(self._settings)
        async with errors():
            await asyncio.to_thread(ensure, admin, channels)
            found = await asyncio.to_thread(places, admin, channels)
            # Asked for now, and not left to the client, which would ask when it first reads.
            begin = await asyncio.to_thread(begins if from_start else ends, admin, found)
        async with reading(self._settings, begin) as pages:
            yield self._messages(admin, channels, pages)

    async def _messages(
        self, admin: AdminClient, channels: Sequence[str], pages: AsyncIterator[list[Message]]
    ) -> AsyncIterator[tuple[str, str, bytes]]:
        empty = 0
        while True:
            async with errors():
                page = [message for message in await anext(pages) if not is_end(message)]
                page.sort(key=lambda message: message.timestamp()[1])  # as far as partitions allow
                empty = 0 if page else empty + 1
                if empty >= ASK_AFTER:
                    await asyncio.to_thread(places, admin, channels)
                    empty = 0
            for message in page:
                channel, partition = place_of(message)
                yield channel, f"{partition}:{message.offset()}", body_of(message)
