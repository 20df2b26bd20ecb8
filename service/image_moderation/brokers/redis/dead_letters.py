"""The dead letters on a Redis stream, by their entry ids."""

from collections.abc import AsyncIterator, Sequence
from importlib.resources import files
from typing import Any

from redis.asyncio import Redis

from image_moderation.brokers.redis.connection import errors
from image_moderation.brokers.redis.messages import BODY_FIELD
from image_moderation.domain.message import Outgoing
from image_moderation.events.models import DEAD_LETTER_CHANNEL

PAGE = 50
"""Letters that are read at once: each may hold a third of a megabyte."""

_REDRIVE = files(__package__).joinpath("scripts", "redrive.lua").read_text()


class RedisDeadLetters:
    """The dead letters of one Redis. See `port.DeadLetterQueue`."""

    purge_note = ""

    def __init__(self, redis: Redis) -> None:
        """`redis` stays the caller's to close."""
        self._redis = redis

    async def count(self) -> int:
        with errors():
            return int(await self._redis.xlen(DEAD_LETTER_CHANNEL))

    async def entries(self) -> AsyncIterator[tuple[str, bytes]]:
        after = "-"
        while True:
            with errors():
                page: Any = await self._redis.xrange(DEAD_LETTER_CHANNEL, min=after, count=PAGE)
            for entry, fields in page:
                yield entry.decode(), fields.get(BODY_FIELD, b"")
            if len(page) < PAGE:
                return
            after = f"({page[-1][0].decode()}"

    async def body(self, entry: str) -> bytes | None:
        with errors():
            found: Any = await self._redis.xrange(DEAD_LETTER_CHANNEL, entry, entry)
        return found[0][1].get(BODY_FIELD, b"") if found else None

    async def resend(self, entries: Sequence[str], message: Outgoing) -> str | None:
        """See `port.DeadLetterQueue`. One step: two who resend at once publish once."""
        fields: list[bytes | str] = [BODY_FIELD, message.body]
        for name, value in message.headers.items():
            fields += [name, value]
        with errors():
            position: bytes | None = await self._redis.eval(
                _REDRIVE, 2, DEAD_LETTER_CHANNEL, message.channel, len(entries), *entries, *fields
            )
        return None if position is None else position.decode()

    async def remove(self, entries: Sequence[str]) -> int:
        with errors():
            return int(await self._redis.xdel(DEAD_LETTER_CHANNEL, *entries))
