"""Publishing and following for the command line, outside any consumer group."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from image_moderation.brokers.kafka.connection import Admin, client_settings, errors
from image_moderation.brokers.kafka.messages import body_of, offset_of, place_of
from image_moderation.brokers.kafka.publisher import KafkaPublisher
from image_moderation.brokers.kafka.topology import Place, end_offsets, ensure, first_offsets, places
from image_moderation.domain.message import Outgoing

PAGE = 500
POLL = 0.2
"""Seconds that one read waits."""
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


@asynccontextmanager
async def reading(
    settings: Mapping[str, Any], begin: Mapping[Place, int], page: int = PAGE
) -> AsyncIterator[AsyncIterator[list[Message]]]:
    """Read partitions from an offset on, without an end: pages of records, empty ones where nothing comes.

    Where a partition ends, for now, there is a message for which `is_end` holds. Errors are the client's.
    """
    consumer = Consumer(
        {
            **settings,
            "group.id": "image-moderation-tools",  # required by the client, and never joined
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "queued.max.messages.kbytes": 16_384,
            "fetch.wait.max.ms": 50,  # with the default a partition's end is known half a second late
        }
    )
    try:
        consumer.assign([TopicPartition(*place, offset) for place, offset in begin.items()])
        yield _pages(consumer, page)
    finally:
        await asyncio.to_thread(consumer.close)


async def _pages(consumer: Consumer, page: int) -> AsyncIterator[list[Message]]:
    while True:
        messages = await asyncio.to_thread(consumer.consume, page, POLL)
        for message in messages:
            if message.error() is not None and not is_end(message):
                raise KafkaException(message.error())
        yield messages


def is_end(message: Message) -> bool:
    """Whether it is no record but the end of its partition, for now."""
    error = message.error()
    return error is not None and error.code() == KafkaError._PARTITION_EOF  # noqa: SLF001 - its only name
