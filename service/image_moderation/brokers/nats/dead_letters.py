"""The dead letters in the stream, by their sequence numbers."""

from collections.abc import AsyncIterator, Sequence

from nats.aio.client import Client
from nats.errors import Error
from nats.js.errors import NotFoundError

from image_moderation.brokers.nats.connection import errors
from image_moderation.brokers.nats.publisher import NatsPublisher
from image_moderation.brokers.nats.topology import STREAM, Stream, next_message
from image_moderation.domain.message import Outgoing
from image_moderation.events.models import DEAD_LETTER_CHANNEL

MISSING = ("no message found", "not found", "deleted message", "stream store EOF")
"""The server's texts for a message that was removed or never was; they differ from call to call."""


class NatsDeadLetters:
    """The dead letters of one stream. See `port.DeadLetterQueue`."""

    purge_note = ""

    def __init__(self, client: Client, replicas: int) -> None:
        """`client` stays the caller's to close; `replicas` is that of `Stream`."""
        self._jetstream = client.jetstream()
        self._stream = Stream(self._jetstream, replicas)
        self._publisher = NatsPublisher(client, self._jetstream)

    async def count(self) -> int:
        with errors():
            await self._stream.ensure()
            info = await self._jetstream.stream_info(STREAM, subjects_filter=DEAD_LETTER_CHANNEL)
        return (info.state.subjects or {}).get(DEAD_LETTER_CHANNEL, 0)

    async def entries(self) -> AsyncIterator[tuple[str, bytes]]:
        with errors():
            await self._stream.ensure()
            last = (await self._jetstream.stream_info(STREAM)).state.last_seq
        sequence = 0
        while sequence < last:
            with errors():
                message = await next_message(self._jetstream, DEAD_LETTER_CHANNEL, sequence + 1)
            if message is None or message.seq is None:
                return
            sequence = message.seq
            yield str(sequence), message.data or b""

    async def body(self, entry: str) -> bytes | None:
        with errors():
            try:
                message = await self._jetstream.get_msg(STREAM, seq=int(entry))
            except Error as error:
                if is_missing(error):
                    return None
                raise
        return message.data or b""

    async def resend(self, entries: Sequence[str], message: Outgoing) -> str | None:
        """See `port.DeadLetterQueue`. The event id lets two who resend at once publish once."""
        for entry in entries:
            if await self.body(entry) is None:
                return None
        with errors():
            (position,) = await self._publisher.publish([message._replace(event_id=f"redriven-{entries[0]}")])
        await self.remove(entries)
        return position

    async def remove(self, entries: Sequence[str]) -> int:
        removed = 0
        with errors():
            for entry in entries:
                try:
                    removed += await self._jetstream.delete_msg(STREAM, int(entry))
                except Error as error:
                    if not is_missing(error):
                        raise
        return removed


def is_missing(error: Error) -> bool:
    """Return whether the server says that there is no such message."""
    return isinstance(error, NotFoundError) or any(text in str(error) for text in MISSING)
