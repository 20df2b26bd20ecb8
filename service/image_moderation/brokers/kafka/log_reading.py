"""Reading partitions outside any group, from one offset on."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from image_moderation.brokers.kafka.topology import Place

PAGE = 500
POLL = 0.2
"""Seconds that one read waits."""


@asynccontextmanager
async def reading(
    settings: Mapping[str, Any], begin: Mapping[Place, int], page: int = PAGE
) -> AsyncIterator[AsyncIterator[list[Message]]]:
    """Give pages of records, empty ones where nothing comes. It ends at nothing: a partition that is read to
    its end says so by a message that is an error, `is_end`. Other errors are raised, as the client's.
    """
    consumer = Consumer(
        {
            **settings,
            "group.id": "image-moderation-tools",  # asked for by the client, and never joined
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "queued.max.messages.kbytes": 16_384,
            "fetch.wait.max.ms": 50,  # or a partition's end would be known half a second late
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
    return error is not None and error.code() == KafkaError._PARTITION_EOF  # noqa: SLF001 - theirs to name


def place_of(message: Message) -> Place:
    """Where it was read, or ended."""
    return message.topic(), message.partition()  # type: ignore[return-value]  # what was read has both


def body_of(message: Message) -> bytes:
    """What it holds; a tombstone holds nothing."""
    return message.value() or b""


async def to_the_end(settings: Mapping[str, Any], begin: Mapping[Place, int]) -> AsyncIterator[Message]:
    """Give each record up to where each partition ends when it gets there. Errors are the client's."""
    left = set(begin)
    if not left:
        return
    async with reading(settings, begin) as pages:
        async for page in pages:
            for message in page:
                if is_end(message):
                    left.discard(place_of(message))
                else:
                    yield message
            if not left:
                return
