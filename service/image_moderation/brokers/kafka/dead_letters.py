"""The dead letters of a topic, by partition and offset.

A topic loses nothing on demand. A dead letter is removed by a tombstone: a later record of its key without a
value, after which the cluster's compaction removes it. Until then it is known by reading to the end.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

from confluent_kafka import Message

from image_moderation.brokers.kafka.connection import Admin, client_settings, errors
from image_moderation.brokers.kafka.messages import body_of, offset_of, place_of
from image_moderation.brokers.kafka.publisher import KafkaPublisher
from image_moderation.brokers.kafka.reading import is_end, reading
from image_moderation.brokers.kafka.topology import Place, ensure, first_offsets, places
from image_moderation.domain.errors import BrokerUnavailable
from image_moderation.domain.message import Outgoing
from image_moderation.events.models import DEAD_LETTER_CHANNEL

PAGES = 10
"""Empty pages after which a record that should be there is missed."""


class KafkaDeadLetters:
    """The dead letters of one cluster. See `port.DeadLetterQueue`."""

    purge_note = "Kafka removes them at its next compaction: the topic needs cleanup.policy=compact"

    def __init__(self, url: str) -> None:
        """Nothing is asked of the cluster yet.

        Raises:
            Misconfigured: the URL asks for something unknown.
        """
        self._settings = client_settings(url)
        self._publisher = KafkaPublisher(self._settings)
        self._admin = Admin(self._settings)
        self._next: dict[Place, int] = {}
        self._keys: dict[str, str] = {}
        """The key of each entry that has no tombstone."""
        self._entries: dict[str, set[str]] = {}
        """The same, the other way around."""

    async def count(self) -> int:
        await self._catch_up()
        return len(self._keys)

    async def entries(self) -> AsyncIterator[tuple[str, bytes]]:
        """See `port.DeadLetterQueue`. Oldest first where the topic has one partition, else within each."""
        await self._catch_up()
        with errors():
            async for message in self._records(await self._first_offsets()):
                entry = _entry(message)
                if entry in self._keys:
                    yield entry, body_of(message)

    async def body(self, entry: str) -> bytes | None:
        await self._catch_up()
        if entry not in self._keys:
            return None
        partition, _, offset = entry.partition(":")
        begin = {(DEAD_LETTER_CHANNEL, int(partition)): int(offset)}
        with errors():
            async with reading(self._settings, begin, page=1) as pages:
                for _ in range(PAGES):
                    for message in await anext(pages):
                        # Another one: compaction has been quicker, and there is a copy further on.
                        return body_of(message) if not is_end(message) and _entry(message) == entry else None
        raise BrokerUnavailable("the dead letter was not given in time")

    async def resend(self, entries: Sequence[str], message: Outgoing) -> str | None:
        await self._catch_up()
        if any(entry not in self._keys for entry in entries):
            return None
        with errors():
            (position,) = await self._publisher.publish([message])
        await self.remove(entries)
        return position

    async def remove(self, entries: Sequence[str]) -> int:
        """See `port.DeadLetterQueue`. All copies of a dead letter go at once: they have one key."""
        await self._catch_up()
        found = [entry for entry in entries if self._keys.get(entry)]
        keys = {self._keys[entry] for entry in found}
        with errors():
            await self._publisher.publish_tombstones(DEAD_LETTER_CHANNEL, list(keys))
        return len(found)

    async def _catch_up(self) -> None:
        """Read what has come since the last time. The bodies are not kept: they may be many and large."""
        with errors():
            async for message in self._records(await self._first_offsets() | self._next):
                self._note(message)

    async def _first_offsets(self) -> dict[Place, int]:
        await asyncio.to_thread(ensure, self._admin, [DEAD_LETTER_CHANNEL])
        found = await asyncio.to_thread(places, self._admin, [DEAD_LETTER_CHANNEL])
        return await asyncio.to_thread(first_offsets, self._admin, found)

    async def _records(self, begin: Mapping[Place, int]) -> AsyncIterator[Message]:
        """Give each record up to where each partition ends when it gets there."""
        left = set(begin)
        async with reading(self._settings, begin) as pages:
            while left:
                for message in await anext(pages):
                    if is_end(message):
                        left.discard(place_of(message))
                    else:
                        yield message

    def _note(self, message: Message) -> None:
        self._next[place_of(message)] = offset_of(message) + 1
        raw = message.key()
        key = raw.decode(errors="backslashreplace") if isinstance(raw, bytes) else ""
        if message.value() is None:
            for entry in self._entries.pop(key, ()):
                del self._keys[entry]
        else:
            entry = _entry(message)
            self._keys[entry] = key
            self._entries.setdefault(key, set()).add(entry)


def _entry(message: Message) -> str:
    return f"{message.partition()}:{message.offset()}"
