"""Publishing to the stream: JetStream confirms each message."""

import asyncio
from collections.abc import Sequence

from nats.aio.client import Client
from nats.js import JetStreamContext

from image_moderation.brokers.calls import TIMEOUT, chunks
from image_moderation.brokers.nats.connection import require_connection
from image_moderation.brokers.nats.topology import STREAM
from image_moderation.domain.message import Outgoing

CHUNK = 500
"""Messages that wait for their confirmation together."""
MESSAGE_ID = "Nats-Msg-Id"
"""The stream drops a second message with the same one, for two minutes unless its operator says otherwise."""


class NatsPublisher:
    """See `transport.Publisher`."""

    def __init__(self, client: Client, jetstream: JetStreamContext) -> None:
        """`client` stays the caller's to close; `jetstream` is its."""
        self._client = client
        self._jetstream = jetstream

    async def publish(self, messages: Sequence[Outgoing]) -> list[str | None]:
        """See `transport.Publisher`. A position is the sequence number in the stream."""
        require_connection(self._client)
        positions: list[str | None] = []
        for chunk in chunks(messages, CHUNK):
            positions += await asyncio.gather(*map(self._publish_one, chunk))
        return positions

    async def _publish_one(self, message: Outgoing) -> str:
        answer = await self._jetstream.publish(
            message.channel, message.body, timeout=TIMEOUT, stream=STREAM, headers=_headers(message) or None
        )
        return str(answer.seq)


def _headers(message: Outgoing) -> dict[str, str]:
    # A message that is sent on must not be dropped as a repeat of itself.
    headers = {name: value for name, value in message.headers.items() if not name.startswith("Nats-")}
    if message.event_id:
        headers[MESSAGE_ID] = message.event_id
    return headers
