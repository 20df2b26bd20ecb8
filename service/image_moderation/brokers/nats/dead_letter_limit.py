"""How many bytes of dead letters the stream keeps. JetStream itself has limits for whole streams alone."""

from asyncio import get_running_loop
from uuid import uuid4

import structlog
from nats.errors import Error
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from image_moderation.brokers.nats.dead_letters import is_missing
from image_moderation.brokers.nats.topology import STREAM
from image_moderation.events.models import DEAD_LETTER_CHANNEL
from image_moderation.events.render import DEAD_LETTER_EVENT_BYTES

PAGE = 500
KEPT_SHARE = 0.75
"""What stays once the limit is passed, so that it isn't passed again at once."""
SIZE = "Nats-Msg-Size"
REST = 10
"""Times as long as a look took until the next one: with very many dead letters it takes seconds."""

log = structlog.get_logger(__name__)


class DeadLetterLimit:
    """Removes the oldest dead letters beyond a number of bytes. Errors are nats-py's."""

    def __init__(self, jetstream: JetStreamContext, max_bytes: int, *, may_purge: bool) -> None:
        """Without `may_purge` messages are removed one by one, which every server does safely."""
        self._jetstream = jetstream
        self._max_bytes = max_bytes
        self._may_purge = may_purge
        self._count = 0
        self._bytes = 0
        self._not_before = 0.0

    async def keep(self) -> None:
        """Look, unless there can't be too much, and remove the oldest that are too much."""
        clock = get_running_loop().time
        count = await self._waiting()
        most = self._bytes + max(0, count - self._count) * DEAD_LETTER_EVENT_BYTES
        if most <= self._max_bytes or clock() < self._not_before:
            return
        began = clock()
        sizes = await self._sizes(count)
        total = sum(size for _, size in sizes)
        if total > self._max_bytes:
            total, dropped = await self._drop(sizes, total)
            log.warning("dead_letters_dropped", count=dropped)
            count = len(sizes) - dropped
        self._count, self._bytes = count, total
        self._not_before = clock() + REST * (clock() - began)

    async def _waiting(self) -> int:
        info = await self._jetstream.stream_info(STREAM, subjects_filter=DEAD_LETTER_CHANNEL)
        return (info.state.subjects or {}).get(DEAD_LETTER_CHANNEL, 0)

    async def _sizes(self, count: int) -> list[tuple[int, int]]:
        """Return sequence number and bytes of up to `count` dead letters, oldest first; read no bodies."""
        name = f"dead-letter-sizes-{uuid4().hex}"
        config = ConsumerConfig(
            name=name,
            filter_subject=DEAD_LETTER_CHANNEL,
            deliver_policy=DeliverPolicy.ALL,
            ack_policy=AckPolicy.NONE,
            headers_only=True,
            inactive_threshold=30.0,
            mem_storage=True,
        )
        await self._jetstream.add_consumer(STREAM, config)
        subscription = await self._jetstream.pull_subscribe_bind(name, STREAM)
        found: list[tuple[int, int]] = []
        try:
            while len(found) < count:
                for message in await subscription.fetch(min(PAGE, count - len(found))):
                    size = int((message.headers or {}).get(SIZE, "0"))
                    found.append((message.metadata.sequence.stream, size))
        except TimeoutError:  # somebody else has removed some meanwhile
            pass
        finally:
            await subscription.unsubscribe()
            await self._jetstream.delete_consumer(STREAM, name)
        return found

    async def _drop(self, sizes: list[tuple[int, int]], total: int) -> tuple[int, int]:
        """Remove the oldest; return the bytes that stay, and how many messages went."""
        dropped = 0
        while total > self._max_bytes * KEPT_SHARE:
            total -= sizes[dropped][1]
            dropped += 1
        if self._may_purge:
            last = sizes[dropped - 1][0]
            await self._jetstream.purge_stream(STREAM, seq=last + 1, subject=DEAD_LETTER_CHANNEL)
            return total, dropped
        for sequence, _ in sizes[:dropped]:
            try:
                await self._jetstream.delete_msg(STREAM, sequence)
            except Error as error:
                if not is_missing(error):  # another replica may have been quicker
                    raise
        return total, dropped
