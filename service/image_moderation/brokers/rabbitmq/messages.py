"""Messages as they came from RabbitMQ."""

from datetime import datetime
from hashlib import sha256
from typing import Any

from aio_pika.message import IncomingMessage
from aiormq.exceptions import ChannelInvalidStateError

from image_moderation.brokers.rabbitmq.publisher import CONTENT_TYPE, STRUCTURED
from image_moderation.domain.message import NO_HEADERS, RawMessage

DELIVERY_COUNT = "x-delivery-count"
_OF_THE_SERVER = (DELIVERY_COUNT, "x-acquired-count", "x-death")


def raw_message(message: IncomingMessage) -> RawMessage:
    """RabbitMQ gives a message no place of its own: its producer's id stands for it, or else a checksum.

    An id has at most 255 bytes in this protocol.
    """
    position = message.message_id or sha256(message.body).hexdigest()
    headers = NO_HEADERS
    if message.headers:
        headers = {
            name: _text(value) for name, value in message.headers.items() if name not in _OF_THE_SERVER
        }
    if message.content_type and message.content_type != STRUCTURED:
        headers = {**headers, CONTENT_TYPE: message.content_type}
    deliveries = _deliveries(message) if message.redelivered else 1
    return RawMessage(message.routing_key or "", position, message.body, None, deliveries, headers, message)


def _deliveries(message: IncomingMessage) -> int:
    """Of a message that is redelivered; before that the header holds whatever a producer put there."""
    count = message.headers.get(DELIVERY_COUNT)
    return 1 + count if isinstance(count, int) else 2


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    return value.isoformat() if isinstance(value, datetime) else str(value)


def channel_of(message: IncomingMessage) -> Any:
    """Where a message can be acked: None once that was closed, for then it will be delivered again."""
    try:
        return message.channel
    except ChannelInvalidStateError:
        return None


def answerable(messages: list[IncomingMessage]) -> list[IncomingMessage]:
    return [message for message in messages if channel_of(message) is not None]
