"""The dead letters of any broker: look through them, send them again, remove them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from image_moderation.brokers.port import DeadLetterQueue
from image_moderation.domain.message import Outgoing
from image_moderation.events.dead_letters import DeadLetterRecord, read_dead_letter

BATCH = 500
"""Entries that are removed at once."""

Progress = Callable[[int], None]
"""Told how many more entries are done."""


def _quiet(more: int) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True, slots=True)
class StoredDeadLetter:
    """One letter and where it stands: more than once, where a service died between parking and acking."""

    letter: DeadLetterRecord
    """Without its body, which `DeadLetters.whole` gives."""
    entries: tuple[str, ...]


class DeadLetters:
    """All letters of one broker."""

    def __init__(self, box: DeadLetterQueue) -> None:
        self._box = box
        self.purge_note = box.purge_note

    async def parked(self, progress: Progress = _quiet) -> list[StoredDeadLetter]:
        """Return the letters, oldest first, each once however often it was parked.

        Raises:
            BrokerUnavailable: call again.
        """
        # The checksum belongs to the key: a copy with other content is a letter of its own.
        found: dict[tuple[str, str], StoredDeadLetter] = {}
        async for entry, body in self._box.entries():
            progress(1)
            letter = read_dead_letter(body, entry)
            key = letter.id, letter.sha256
            known = found.get(key) or StoredDeadLetter(replace(letter, body=b""), ())
            found[key] = replace(known, entries=(*known.entries, entry))
        return list(found.values())

    async def count(self) -> int:
        """Return about how many entries there are, copies included.

        Raises:
            BrokerUnavailable: call again.
        """
        return await self._box.count()

    async def whole(self, parked: StoredDeadLetter) -> DeadLetterRecord | None:
        """Return the letter with its body; None if it has been removed meanwhile.

        Raises:
            BrokerUnavailable: call again.
        """
        entry = parked.entries[0]
        body = await self._box.body(entry)
        return None if body is None else read_dead_letter(body, entry)

    async def redrive(self, parked: StoredDeadLetter) -> str | None:
        """Publish the original and remove the letter with its copies; return the original's new position.

        None if somebody else has redriven or removed it meanwhile; then nothing has changed.

        Raises:
            Irrecoverable: the original is not all there; the letter stays.
            BrokerUnavailable: it may be redriven; if not, the letter stays.
        """
        letter = await self.whole(parked)
        if letter is None:
            return None
        message = Outgoing(letter.channel, letter.original(), headers=letter.headers)
        return await self._box.resend(parked.entries, message)

    async def purge(self, letters: Sequence[StoredDeadLetter], progress: Progress = _quiet) -> int:
        """Remove letters with their copies; return how many entries went.

        Raises:
            BrokerUnavailable: some may be gone.
        """
        entries = [entry for parked in letters for entry in parked.entries]
        removed = 0
        for at in range(0, len(entries), BATCH):
            batch = entries[at : at + BATCH]
            removed += await self._box.remove(batch)
            progress(len(batch))
        return removed
