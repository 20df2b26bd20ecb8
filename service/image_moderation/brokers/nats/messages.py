"""JetStream messages as the project's messages, and as FastStream reads a batch of them."""

from typing import Any

from faststream.message import StreamMessage
from nats.aio.msg import Msg

from image_moderation.domain.message import NO_HEADERS, RawMessage


async def decode_batch(message: StreamMessage[Any]) -> list[RawMessage]:
    """FastStream's decoder: the messages of a batch, bodies unparsed."""
    return [raw_message(one) for one in message.raw_message]


def raw_message(message: Msg) -> RawMessage:
    """Return one message, by the facts in the subject that acks go to.

    It is `$JS.ACK.<stream>.<durable>.<deliveries>.<sequence>.<durable's sequence>.<time in ns>.<left>`.
    Newer servers put a domain and an account before the stream.
    """
    parts = message.reply.split(".")
    at = 4 if len(parts) == 9 else 6
    return RawMessage(
        message.subject,
        position=parts[at + 1],
        body=message.data,
        arrived=int(parts[at + 3]) // 1_000_000,
        deliveries=int(parts[at]),
        headers=NO_HEADERS if message.headers is None else dict(message.headers),
        handle=message.reply,
    )
