"""The dead letters of any broker: list them, send them again, remove them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from image_moderation.brokers.calls import chunks
from image_moderation.brokers.port import DeadLetterQueue
from image_moderation.domain.message import Outgoing
from image_moderation.events.dead_letters import DeadLetterRecord, read_dead_letter

BATCH = 500
"""Entries that are removed at once."""

Progress = Callable[[int], None]
"""Takes how many more entries are done."""


@dataclass(frozen=True, slots=True)
class StoredDeadLetter:
    """One dead letter and its entries: more than one where a service died between storing it and its ack."""

    record: DeadLetterRecord
    """Without its body, which `DeadLetters.whole` returns."""
    entries: tuple[str, ...]


class DeadLetters:
    """All dead letters of one broker."""

    def __init__(self, queue: DeadLetterQueue) -> None:
        self._queue = queue
        self.purge_note = queue.purge_note

    async def stored(self, progress: Progress = lambda _: None) -> list[StoredDeadLetter]:
        """Return the dead letters, oldest first, each once however often it was stored.

        Raises:
            BrokerUnavailable: call again.
        """
        # The checksum belongs to the key: a copy with other content is a dead letter of its own.
        found: dict[tuple[str, str], StoredDeadLetter] = {}
        async for entry, body in self._queue.entries():
            progress(1)
            record = read_dead_letter(body, entry)
            key = record.id, record.sha256
            known = found.get(key) or StoredDeadLetter(replace(record, body=b""), ())
            found[key] = replace(known, entries=(*known.entries, entry))
        return list(found.values())

    async def count(self) -> int:
        """Return about how many entries there are, copies included.

        Raises:
            BrokerUnavailable: call again.
        """
        return await self._queue.count()

    async def whole(self, stored: StoredDeadLetter) -> DeadLetterRecord | None:
        """Return the dead letter with its body; None if it has been removed meanwhile.

        Raises:
            BrokerUnavailable: call again.
        """
        entry = stored.entries[0]
        body = await self._queue.body(entry)
        return None if body is None else read_dead_letter(body, entry)

    async def redrive(self, stored: StoredDeadLetter) -> str | None:
        """Publish the original and remove the dead letter with its copies; return its new position.

        None if somebody else has redriven or removed it meanwhile; then nothing has changed.

        Raises:
            Irrecoverable: the original is not complete; the dead letter stays.
            BrokerUnavailable: it may be redriven; if not, the dead letter stays.
        """
        record = await self.whole(stored)
        if record is None:
            return None
        message = Outgoing(record.channel, record.original(), headers=record.headers)
        return await self._queue.resend(stored.entries, message)

    async def purge(
        self, dead_letters: Sequence[StoredDeadLetter], progress: Progress = lambda _: None
    ) -> int:
        """Remove dead letters with their copies; return how many entries went.

        Raises:
            BrokerUnavailable: some may be gone.
        """
        removed = 0
        for batch in chunks([entry for stored in dead_letters for entry in stored.entries], BATCH):
            removed += await self._queue.remove(batch)
            progress(len(batch))
        return removed
