"""Publishing to the stream: JetStream confirms each message."""

import asyncio
from collections.abc import Sequence

from nats.js import JetStreamContext

from image_moderation.brokers.nats.errors import PATIENCE
from image_moderation.brokers.nats.topology import STREAM
from image_moderation.domain.message import Outgoing

AT_ONCE = 500
"""Messages that may wait for their confirmation together."""
MESSAGE_ID = "Nats-Msg-Id"
"""The stream drops a second message with the same one, for two minutes unless its operator says otherwise."""


async def publish(jetstream: JetStreamContext, messages: Sequence[Outgoing]) -> list[int]:
    """Publish in order; return each one's sequence number once all are confirmed. Errors are nats-py's."""
    sequences: list[int] = []
    for first in range(0, len(messages), AT_ONCE):
        some = messages[first : first + AT_ONCE]
        answers = await asyncio.gather(
            *(
                jetstream.publish(
                    message.channel,
                    message.body,
                    timeout=PATIENCE,
                    stream=STREAM,
                    headers=_headers(message) or None,
                )
                for message in some
            )
        )
        sequences += [answer.seq for answer in answers]
    return sequences


def _headers(message: Outgoing) -> dict[str, str]:
    # A message that is sent on must not be dropped as a repeat of itself.
    headers = {name: value for name, value in message.headers.items() if not name.startswith("Nats-")}
    if message.event_id:
        headers[MESSAGE_ID] = message.event_id
    return headers
