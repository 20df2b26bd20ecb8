"""The dead letters of a topic, by partition and offset.

A topic loses nothing on demand. A letter is removed by a tombstone: a later record of its key without a
value, after which the cluster's compaction removes it. Until then it is known by reading to the end.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence

from confluent_kafka import Message
from confluent_kafka.admin import AdminClient

from image_moderation.brokers.kafka.connection import client_settings, errors
from image_moderation.brokers.kafka.log_reading import body_of, is_end, place_of, reading, to_the_end
from image_moderation.brokers.kafka.publisher import Publisher
from image_moderation.brokers.kafka.topology import Place, begins, ensure, places
from image_moderation.domain.errors import BrokerUnavailable
from image_moderation.domain.message import Outgoing
from image_moderation.events.models import DEAD_LETTER_CHANNEL

PAGES = 10
"""Empty pages after which a record that should be there is missed."""


class KafkaDeadLetters:
    """The dead letters of one cluster. See `port.DeadLetterQueue`."""

    purge_note = "Kafka removes them at its next compaction: the topic needs cleanup.policy=compact"

    def __init__(self, url: str) -> None:
        """Nothing is connected before it is needed.

        Raises:
            Misconfigured: the URL asks for something unknown.
        """
        self._settings = client_settings(url)
        self._publisher = Publisher(self._settings)
        self._admin = AdminClient(self._settings)
        self._next: dict[Place, int] = {}
        self._keys: dict[str, str] = {}
        """The key of each entry that has no tombstone."""
        self._entries: dict[str, set[str]] = {}
        """The same, the other way around."""

    async def count(self) -> int:
        """See `port.DeadLetterQueue`."""
        await self._catch_up()
        return len(self._keys)

    async def entries(self) -> AsyncIterator[tuple[str, bytes]]:
        """See `port.DeadLetterQueue`. Oldest first where the topic has one partition, else within each."""
        await self._catch_up()
        async with errors():
            async for message in to_the_end(self._settings, await self._begins()):
                entry = _entry(message)
                if entry in self._keys:
                    yield entry, body_of(message)

    async def body(self, entry: str) -> bytes | None:
        """See `port.DeadLetterQueue`."""
        await self._catch_up()
        if entry not in self._keys:
            return None
        partition, _, offset = entry.partition(":")
        begin = {(DEAD_LETTER_CHANNEL, int(partition)): int(offset)}
        async with errors(), reading(self._settings, begin, page=1) as pages:
            for _ in range(PAGES):
                for message in await anext(pages):
                    # Another one: compaction has been quicker, and there is a copy further on.
                    return body_of(message) if not is_end(message) and _entry(message) == entry else None
        raise BrokerUnavailable("the dead letter was not given in time")

    async def resend(self, entries: Sequence[str], message: Outgoing) -> str | None:
        """See `port.DeadLetterQueue`."""
        await self._catch_up()
        if any(entry not in self._keys for entry in entries):
            return None
        async with errors():
            (position,) = await self._publisher.publish([message])
        await self.remove(entries)
        return position

    async def remove(self, entries: Sequence[str]) -> int:
        """See `port.DeadLetterQueue`. All copies of a letter go at once, for they have one key."""
        await self._catch_up()
        found = [entry for entry in entries if self._keys.get(entry)]
        keys = dict.fromkeys(self._keys[entry] for entry in found)
        tombstones = [Outgoing(DEAD_LETTER_CHANNEL, b"", key=key) for key in keys]
        async with errors():
            await self._publisher.publish(tombstones, tombstones=True)
        return len(found)

    async def _catch_up(self) -> None:
        """Read what has come since the last time. The bodies are not kept: they may be many and large."""
        async with errors():
            begin = await self._begins() | self._next
            async for message in to_the_end(self._settings, begin):
                self._note(message)

    async def _begins(self) -> dict[Place, int]:
        await asyncio.to_thread(ensure, self._admin, [DEAD_LETTER_CHANNEL])
        found = await asyncio.to_thread(places, self._admin, [DEAD_LETTER_CHANNEL])
        return await asyncio.to_thread(begins, self._admin, found)

    def _note(self, message: Message) -> None:
        offset: int = message.offset()  # type: ignore[assignment]  # what was read has one
        self._next[place_of(message)] = offset + 1
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
