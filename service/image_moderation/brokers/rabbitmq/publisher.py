"""Publishing to the exchange: persistent, confirmed, and returned where nobody is bound."""

import asyncio
from collections.abc import Sequence

from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractExchange
from aiormq.exceptions import PublishError

from image_moderation.brokers.rabbitmq.connection import PATIENCE
from image_moderation.domain.message import Outgoing

AT_ONCE = 500
"""Messages that may wait for their confirmation together."""
CONTENT_TYPE = "content-type"
STRUCTURED = "application/cloudevents+json"


async def publish(exchange: AbstractExchange, messages: Sequence[Outgoing]) -> list[bool]:
    """Publish in order; say of each whether somebody is bound to it. Errors are aio-pika's.

    The exchange's channel must confirm, and raise what is returned.
    """
    taken: list[bool] = []
    for first in range(0, len(messages), AT_ONCE):
        some = messages[first : first + AT_ONCE]
        answers = await asyncio.gather(
            *(_send(exchange, message) for message in some), return_exceptions=True
        )
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, PublishError):
                raise answer
            taken.append(not isinstance(answer, PublishError))
    return taken


async def _send(exchange: AbstractExchange, message: Outgoing) -> None:
    headers = dict(message.headers)
    content_type = headers.pop(CONTENT_TYPE, STRUCTURED)
    await exchange.publish(
        Message(
            message.body,
            headers=headers or None,  # type: ignore[arg-type]  # a dictionary of plain text is one of theirs
            content_type=content_type,
            delivery_mode=DeliveryMode.PERSISTENT,
            message_id=message.event_id or None,
        ),
        routing_key=message.channel,
        mandatory=True,
        timeout=PATIENCE,
    )
