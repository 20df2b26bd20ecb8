"""The dead letters in the stream, by their sequence numbers."""

from collections.abc import AsyncIterator, Sequence

from nats.aio.client import Client
from nats.errors import Error
from nats.js.errors import NotFoundError

from image_moderation.brokers.nats.errors import errors
from image_moderation.brokers.nats.publisher import publish
from image_moderation.brokers.nats.topology import STREAM, ensure_stream, next_message
from image_moderation.domain.message import Outgoing
from image_moderation.events.models import DEAD_LETTER_CHANNEL

GONE = ("no message found", "not found", "deleted message", "stream store EOF")


class NatsDeadLetters:
    """The dead letters of one stream. See `port.DeadLetterQueue`."""

    purge_note = ""

    def __init__(self, client: Client) -> None:
        """`client` stays the caller's to close."""
        self._jetstream = client.jetstream()

    async def count(self) -> int:
        """See `port.DeadLetterQueue`."""
        async with errors():
            await ensure_stream(self._jetstream)
            info = await self._jetstream.stream_info(STREAM, subjects_filter=DEAD_LETTER_CHANNEL)
        return (info.state.subjects or {}).get(DEAD_LETTER_CHANNEL, 0)

    async def entries(self) -> AsyncIterator[tuple[str, bytes]]:
        """See `port.DeadLetterQueue`."""
        async with errors():
            await ensure_stream(self._jetstream)
            last = (await self._jetstream.stream_info(STREAM)).state.last_seq
        sequence = 0
        while sequence < last:
            async with errors():
                message = await next_message(self._jetstream, DEAD_LETTER_CHANNEL, sequence + 1)
            if message is None or message.seq is None:
                return
            sequence = message.seq
            yield str(sequence), message.data or b""

    async def body(self, entry: str) -> bytes | None:
        """See `port.DeadLetterQueue`."""
        try:
            async with errors():
                message = await self._jetstream.get_msg(STREAM, seq=int(entry))
        except Exception as error:
            if _is_gone(error.__cause__):
                return None
            raise
        return message.data or b""

    async def resend(self, entries: Sequence[str], message: Outgoing) -> str | None:
        """See `port.DeadLetterQueue`."""
        for entry in entries:
            if await self.body(entry) is None:
                return None
        # Two who resend one letter at once publish once.
        named = message._replace(event_id=f"redriven-{entries[0]}")
        async with errors():
            (position,) = await publish(self._jetstream, [named])
        await self.remove(entries)
        return str(position)

    async def remove(self, entries: Sequence[str]) -> int:
        """See `port.DeadLetterQueue`."""
        removed = 0
        async with errors():
            for entry in entries:
                try:
                    removed += await self._jetstream.delete_msg(STREAM, int(entry))
                except Error as error:
                    if not _is_gone(error):
                        raise
        return removed


def _is_gone(error: BaseException | None) -> bool:
    """The server's ways to say that a message was removed or never was, which differ from call to call."""
    return isinstance(error, NotFoundError) or any(words in str(error) for words in GONE)
