"""Reading partitions without a group, from any offset on: to follow, for dead letters, for the history."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from image_moderation.brokers.kafka.topology import Place, about

PAGE = 500
POLL = 0.2
"""Seconds that one read waits."""


@asynccontextmanager
async def reading(
    settings: Mapping[str, Any], begin: Mapping[Place, int], page: int = PAGE
) -> AsyncIterator[AsyncIterator[list[Message]]]:
    """Read partitions from an offset on, without an end: pages of records, empty ones where nothing comes.

    Where a partition ends, for now, there is a message for which `is_end` holds. Errors are the client's.
    """
    async with assigned(settings, begin) as consumer:
        yield pages(consumer, page)


@asynccontextmanager
async def assigned(settings: Mapping[str, Any], begin: Mapping[Place, int]) -> AsyncIterator[Consumer]:
    """Open a consumer of partitions from an offset on. Errors are the client's."""
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
        yield consumer
    finally:
        await asyncio.to_thread(consumer.close)


async def pages(consumer: Consumer, page: int = PAGE) -> AsyncIterator[list[Message]]:
    """Read an open consumer as `reading` does."""
    while True:
        messages = await asyncio.to_thread(consumer.consume, page, POLL)
        for message in messages:
            error = message.error()
            if error is not None and not is_end(message) and not _is_of_the_group(error):
                raise about(message.topic() or "", error)
        yield [message for message in messages if message.error() is None or is_end(message)]


def _is_of_the_group(error: KafkaError) -> bool:
    """Whether it is only about the group that is never joined: who reads partitions needs no right to one."""
    return error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED


def is_end(message: Message) -> bool:
    """Whether it is no record but the end of its partition, for now."""
    error = message.error()
    return error is not None and error.code() == KafkaError._PARTITION_EOF  # noqa: SLF001 - its only name
