"""Publishing to the exchange: persistent, confirmed, and returned where no queue is bound."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

import aiormq
from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractConnection
from aiormq.exceptions import DeliveryError, PublishError

from image_moderation.brokers.calls import chunks, within
from image_moderation.brokers.rabbitmq.connection import CLIENT_ERRORS, open_channel
from image_moderation.brokers.rabbitmq.topology import EXCHANGE
from image_moderation.domain.message import Outgoing
from image_moderation.events.binary import CONTENT_TYPE, STRUCTURED

CHUNK = 500
"""Messages that wait for their confirmation together."""


class RabbitmqPublisher:
    """See `transport.Publisher`. All goes through one channel: a connection has only about two thousand."""

    def __init__(self, connection: AbstractConnection) -> None:
        """`connection` stays the caller's to close."""
        self._connection = connection
        self._channel: aiormq.Channel | None = None
        self._users: Counter[aiormq.Channel] = Counter()

    async def publish(self, messages: Sequence[Outgoing]) -> list[str | None]:
        channel = self._channel
        if channel is None or channel.is_closed:
            channel = self._channel = await open_channel(self._connection, publishing=True)
        self._users[channel] += 1
        try:
            return await _publish_all(channel, messages)
        except DeliveryError:
            # On a channel that was used while a queue of a cluster had no leader, RabbitMQ goes on refusing.
            if self._channel is channel:
                self._channel = None
            raise
        finally:
            self._users[channel] -= 1
            if not self._users[channel]:
                del self._users[channel]
                if channel is not self._channel:
                    with suppress(*CLIENT_ERRORS):
                        await within(channel.close())


async def _publish_all(channel: aiormq.Channel, messages: Sequence[Outgoing]) -> list[str | None]:
    positions: list[str | None] = []
    for chunk in chunks(messages, CHUNK):
        sending = (_publish(channel, message) for message in chunk)
        for answer in await within(asyncio.gather(*sending, return_exceptions=True)):
            if isinstance(answer, BaseException) and not isinstance(answer, PublishError):
                raise answer
            positions.append(None if isinstance(answer, PublishError) else "")
    return positions


async def _publish(channel: aiormq.Channel, message: Outgoing) -> None:
    headers = dict(message.headers)
    content_type = headers.pop(CONTENT_TYPE, STRUCTURED)
    properties = Message(
        b"",
        headers=headers or None,  # type: ignore[arg-type]  # a dictionary of plain text is one of theirs
        content_type=content_type,
        delivery_mode=DeliveryMode.PERSISTENT,
        message_id=message.event_id or None,
    ).properties
    await channel.basic_publish(
        message.body, exchange=EXCHANGE, routing_key=message.channel, properties=properties, mandatory=True
    )
