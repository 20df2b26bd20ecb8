"""What the service declares: its exchange, and its group's queues on it."""

from typing import Any

from aio_pika.abc import AbstractChannel
from aiormq.exceptions import ChannelNotFoundEntity

from image_moderation.events.models import DEAD_LETTER_CHANNEL, REPORTED_CHANNEL, REVIEWED_CHANNEL

EXCHANGE = "image-moderation"
QUEUED = (REPORTED_CHANNEL, REVIEWED_CHANNEL, DEAD_LETTER_CHANNEL)
"""Those that have a queue of the group's. Decisions go to whoever has bound a queue of their own."""
QUEUE_ARGUMENTS: dict[str, str | int] = {
    "x-queue-type": "quorum",
    # From version 4 on a quorum queue drops what was delivered twenty times, unless told otherwise; parking
    # it is the intake's part.
    "x-delivery-limit": 1_000_000,
    # While the store is away messages stay in hand. Without this the server closes the channel after half an
    # hour, and each time counts as a delivery. Before version 3.12 it is the operator's to set.
    "x-consumer-timeout": 7 * 86_400_000,
}


def queue_name(group: str, channel: str) -> str:
    """The group's queue of a channel."""
    return f"{group}.{channel}"


async def count(channel: AbstractChannel, group: str, of: str) -> int | None:
    """Return how much waits in the group's queue of a channel; None where there is no such queue, and then
    AMQP has closed this channel. Errors are aio-pika's.
    """
    protocol = await channel.get_underlay_channel()
    try:
        answer = await protocol.queue_declare(queue_name(group, of), passive=True)
    except ChannelNotFoundEntity:
        return None
    return answer.message_count or 0


async def declare(channel: AbstractChannel, group: str, of: str) -> int:
    """Make the exchange, and the group's queue of one of QUEUED bound to it, where they are missing.

    Return how much waits in the queue. Errors are aio-pika's. Straight to the protocol: what is declared
    through aio-pika's own channel is remembered there for ever.
    """
    protocol = await channel.get_underlay_channel()
    await protocol.exchange_declare(EXCHANGE, exchange_type="topic", durable=True)
    name = queue_name(group, of)
    arguments: Any = QUEUE_ARGUMENTS
    answer = await protocol.queue_declare(name, durable=True, arguments=arguments)
    await protocol.queue_bind(name, EXCHANGE, routing_key=of)
    return answer.message_count or 0
