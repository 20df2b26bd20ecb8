"""Messages as the server delivers them, and as the service reads them."""

from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any, NamedTuple

from aiormq.abc import DeliveredMessage
from faststream.message import StreamMessage

from image_moderation.domain.message import NO_HEADERS, RawMessage
from image_moderation.events.binary import CONTENT_TYPE, STRUCTURED

DELIVERY_COUNT = "x-delivery-count"
_SERVER_HEADERS = (DELIVERY_COUNT, "x-acquired-count", "x-death")


class Batch(NamedTuple):
    """Messages of one queue. To FastStream's middlewares it has what they read of a single message."""

    channel: str
    messages: Sequence[DeliveredMessage]
    """At least one."""

    @property
    def exchange(self) -> str | None:
        """The first message's."""
        return self.messages[0].exchange

    @property
    def routing_key(self) -> str | None:
        """The first message's."""
        return self.messages[0].routing_key

    @property
    def delivery_tag(self) -> int | None:
        """The first message's."""
        return self.messages[0].delivery_tag


async def decode_batch(message: StreamMessage[Any]) -> list[RawMessage]:
    """FastStream's decoder: the messages of a batch, bodies unparsed."""
    batch: Batch = message.raw_message
    return [raw_message(batch.channel, one) for one in batch.messages]


def raw_message(channel: str, message: DeliveredMessage) -> RawMessage:
    """Return one message.

    RabbitMQ gives a message no position, so its producer's id stands for it, or else a checksum.
    """
    properties = message.header.properties
    headers = NO_HEADERS
    if properties.headers:
        headers = {
            name: _text(value)
            for name, value in properties.headers.items()
            if value is not None and name not in _SERVER_HEADERS
        }
    if properties.content_type and properties.content_type != STRUCTURED:
        headers = {**headers, CONTENT_TYPE: properties.content_type}
    return RawMessage(
        channel,
        position=properties.message_id or sha256(message.body).hexdigest(),
        body=message.body,
        deliveries=_redeliveries(properties.headers) + 1 if message.redelivered else 1,
        headers=headers,
        handle=message,
    )


def size_of(message: DeliveredMessage) -> int:
    """Return about how many bytes body and headers have."""
    headers = message.header.properties.headers or NO_HEADERS
    return len(message.body) + sum(len(name) + len(_text(value)) for name, value in headers.items())


def _redeliveries(headers: Any) -> int:
    """Read the server's count. Before a first redelivery the header is whatever a producer put there."""
    count = (headers or NO_HEADERS).get(DELIVERY_COUNT)
    return count if isinstance(count, int) else 1


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    return value.isoformat() if isinstance(value, datetime) else str(value)
