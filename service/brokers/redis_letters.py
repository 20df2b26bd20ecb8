"""The dead letters on a Redis stream: look through them, send them again, remove them."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Any

from redis.asyncio import Redis

from service.brokers.redis_errors import errors
from service.events.letters import Letter, read_letter
from service.events.models import DEAD_LETTER_CHANNEL

PAGE = 50
"""Letters that are read at once: each may hold a third of a megabyte."""
BATCH = 500
"""Letters that are removed at once."""

_REDRIVE = files(__package__).joinpath("scripts", "redrive.lua").read_text()

Progress = Callable[[int], None]
"""Told how many more letters are done."""


def _quiet(more: int) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True, slots=True)
class Parked:
    """One letter and where it stands: more than once, where a service died between parking and acking."""

    letter: Letter
    """Without its body, which `DeadLetters.whole` gives."""
    entries: tuple[str, ...]


class DeadLetters:
    """All letters of one Redis."""

    def __init__(self, redis: Redis) -> None:
        """`redis` stays the caller's to close."""
        self._redis = redis

    async def parked(self, progress: Progress = _quiet) -> list[Parked]:
        """Return the letters, oldest first, each once however often it was parked.

        Raises:
            BrokerUnavailable: call again.
        """
        # The checksum belongs to the key: a copy with other content is a letter of its own.
        found: dict[tuple[str, str], Parked] = {}
        async for entry, letter in self._all():
            progress(1)
            key = letter.id, letter.sha256
            known = found.get(key) or Parked(replace(letter, body=b""), ())
            found[key] = replace(known, entries=(*known.entries, entry))
        return list(found.values())

    async def count(self) -> int:
        """Return how many entries there are, copies included.

        Raises:
            BrokerUnavailable: call again.
        """
        async with errors():
            return int(await self._redis.xlen(DEAD_LETTER_CHANNEL))

    async def whole(self, parked: Parked) -> Letter | None:
        """Return the letter with its body; None if it has been removed meanwhile.

        Raises:
            BrokerUnavailable: call again.
        """
        entry = parked.entries[0]
        async with errors():
            found: Any = await self._redis.xrange(DEAD_LETTER_CHANNEL, entry, entry)
        return _letter(*found[0]) if found else None

    async def redrive(self, parked: Parked) -> str | None:
        """Publish the original and remove the letter with its copies; return the original's new position.

        None if somebody else has redriven or removed it meanwhile; then nothing has changed.

        Raises:
            Irrecoverable: the original is not all there; the letter stays.
            BrokerUnavailable: it may be redriven; if not, the letter stays.
        """
        letter = await self.whole(parked)
        if letter is None:
            return None
        fields: list[bytes | str] = ["__data__", letter.original()]
        for name, value in letter.headers.items():
            fields += [name, value]
        async with errors():
            position: bytes | None = await self._redis.eval(
                _REDRIVE,
                2,
                DEAD_LETTER_CHANNEL,
                letter.channel,
                len(parked.entries),
                *parked.entries,
                *fields,
            )
        return None if position is None else position.decode()

    async def purge(self, letters: Sequence[Parked], progress: Progress = _quiet) -> int:
        """Remove letters with their copies; return how many entries went.

        Raises:
            BrokerUnavailable: some may be gone.
        """
        entries = [entry for parked in letters for entry in parked.entries]
        removed = 0
        for at in range(0, len(entries), BATCH):
            batch = entries[at : at + BATCH]
            async with errors():
                removed += await self._redis.xdel(DEAD_LETTER_CHANNEL, *batch)
            progress(len(batch))
        return removed

    async def _all(self) -> AsyncIterator[tuple[str, Letter]]:
        after = "-"
        while True:
            async with errors():
                page: Any = await self._redis.xrange(DEAD_LETTER_CHANNEL, min=after, count=PAGE)
            for entry, fields in page:
                yield entry.decode(), _letter(entry, fields)
            if len(page) < PAGE:
                return
            after = f"({page[-1][0].decode()}"


def _letter(entry: bytes, fields: dict[bytes, bytes]) -> Letter:
    return read_letter(fields.get(b"__data__", b""), entry.decode())
