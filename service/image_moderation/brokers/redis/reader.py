"""Reading one stream through the group, and taking back what dead readers left.

Redis never delivers a pending entry again by itself, so this process claims those that others left. A claim
counts as a delivery.
"""

import asyncio
from collections.abc import Iterable
from importlib.resources import files
from time import monotonic
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from image_moderation.brokers.port import Options
from image_moderation.brokers.reader import MOST_IN_HAND, Reader, Subscriber
from image_moderation.brokers.redis.connection import errors
from image_moderation.brokers.redis.messages import Entry, batch, raw_message
from image_moderation.brokers.redis.topology import bytes_held
from image_moderation.domain.message import RawMessage

WORTH_A_LANE = 100
"""Entries from which on a batch is worth a lane of its own. A batch costs as much as forty of its entries, so
while few arrive, eight lanes would take them one by one, and each would wait for the seven others.
"""
POLL = 1000
"""Milliseconds that a read waits for entries; must stay well under the socket's timeout."""
BATCH_BYTES = MOST_IN_HAND // 12
"""Of what is read at once while large entries wait. Both streams together have nine lanes, and entries that
were left are claimed.
"""
ORDINARY, LARGE_TOGETHER = 1024, MOST_IN_HAND // 2
"""Bytes of an ordinary entry; and bytes that all entries of a stream may have beyond that, together, before
they count as large.
"""
LOOK_AGAIN = 0.25
"""Seconds after which a reader looks again at how large the entries are."""
STEP = 8
"""Entries after which their bytes are counted."""
KEEP_FROM = 1.0
"""Seconds that a batch is in hand when it is kept from other processes for the first time."""
CLAIM_COUNT = 50
"""Most entries that are claimed at once: their bytes aren't known before."""
ALONE_FROM = 3
"""From so many deliveries an entry is claimed alone, so that it can't raise its neighbours' count."""

_READ = files(__package__).joinpath("scripts", "read.lua").read_text()

log = structlog.get_logger(__name__)


class RedisReader(Reader):
    """One stream. Each lane is a consumer of the group."""

    redis: Redis
    """There is one once the transport has connected."""

    def __init__(self, channel: str, subscriber: Subscriber, options: Options, *, lanes: int) -> None:
        super().__init__(channel, subscriber, lanes=lanes, errors=errors)
        self._group = options.group
        self._batch_size = options.batch_size
        self._abandoned_after = options.redeliver_after
        self._consumers = [f"{options.consumer}-{lane}" for lane in range(lanes)]
        self._claimer = f"{options.consumer}-reclaim"
        self._worth_a_lane = min(WORTH_A_LANE, options.batch_size)
        self._rush = asyncio.Event()
        """Set while batches are worth a lane."""
        self._alone = 0
        """The lane that reads without a rush."""
        self._large = True  # until the first look
        self._look_at = 0.0

    async def next_batch(self, lane: int) -> dict[str, Any] | None:
        """See `Reader`. Once a batch isn't worth a lane, the lane that got it reads alone until one is: what
        arrives while it works makes its next batch larger.
        """
        if lane != self._alone and not self._rush.is_set():
            self._failures.pop(lane, None)  # the other lane will say if it can't read
            await self._rush.wait()
        entries = await self._next_entries(self._consumers[lane])
        if len(entries) >= self._worth_a_lane:
            self._rush.set()
        elif self._rush.is_set():
            self._rush.clear()
            self._alone = lane
        return batch(self.channel, entries) if entries else None

    async def _next_entries(self, consumer: str) -> list[Entry]:
        """While large entries wait, a script reads, which counts their bytes but can't wait."""
        if not await self._has_large_entries():
            return await self._read(consumer, ">", self._batch_size, block=POLL)
        most = (str(self._batch_size), str(BATCH_BYTES), str(STEP))
        entries = await self.redis.eval(_READ, 1, self.channel, self._group, consumer, *most)
        return entries or await self._read(consumer, ">", min(STEP, self._batch_size), block=POLL)

    async def _has_large_entries(self) -> bool:
        """Return whether full batches could hold more than MOST_IN_HAND, as of the last look.

        The script costs the server two microseconds an entry, so it doesn't read what is ordinary.
        """
        now = monotonic()
        if now < self._look_at:
            return self._large
        self._look_at = now + LOOK_AGAIN  # so that the other lanes don't look, too
        held = await bytes_held(self.redis, self.channel)
        self._large = held is None or held - ORDINARY * await self.redis.xlen(self.channel) > LARGE_TOGETHER
        # A long backlog takes the server milliseconds.
        self._look_at = max(self._look_at, now + 100 * (monotonic() - now))
        return self._large

    async def _read(
        self, consumer: str, position: str, count: int, *, block: int | None = None
    ) -> list[Entry]:
        reply: Any = await self.redis.xreadgroup(
            self._group, consumer, {self.channel: position}, count=count, block=block
        )
        return [entry for _, entries in reply for entry in entries]

    async def ack(self, messages: Iterable[RawMessage]) -> None:
        """Remove entries from the group's pending list."""
        await self.redis.xack(self.channel, self._group, *(message.position for message in messages))

    async def keep(self) -> None:
        """Restart the time after which others may claim what this process works on; counts no delivery."""
        now = asyncio.get_running_loop().time()
        for since, messages in list(self.in_hand.values()):
            if now - since >= KEEP_FROM:
                positions: Any = [message.position for message in messages]
                await self.redis.xclaim(self.channel, self._group, self._claimer, 0, positions, justid=True)

    async def claim(self) -> list[RawMessage]:
        """Take over abandoned entries: a batch of them, or one that has been delivered often."""
        try:
            pending: Any = await self.redis.xpending_range(
                self.channel, self._group, min="-", max="+", count=CLAIM_COUNT, idle=self._abandoned_after
            )
        except ResponseError as error:
            if "NOGROUP" in str(error):
                return []
            raise
        in_hand = {message.position for batch in self.in_hand.values() for message in batch.messages}
        deliveries: dict[bytes, int] = {
            entry["message_id"]: entry["times_delivered"] + 1
            for entry in pending
            if entry["message_id"].decode() not in in_hand
        }
        wanted: Any = [position for position, count in deliveries.items() if count <= ALONE_FROM]
        wanted = wanted or list(deliveries)[:1]
        if not wanted:
            return []
        entries: Any = await self.redis.xclaim(
            self.channel, self._group, self._claimer, self._abandoned_after, wanted
        )
        claimed = [entry for entry in entries if entry is not None]
        if len(claimed) < len(wanted):
            await self._ack_deleted(set(wanted) - {position for position, _ in claimed})
        return [
            raw_message(self.channel, position, fields, deliveries[position]) for position, fields in claimed
        ]

    async def _ack_deleted(self, positions: set[bytes]) -> None:
        """Ack entries that somebody deleted while they were pending: before Redis 7 they stay for ever."""
        for position in positions:
            if not await self.redis.xrange(self.channel, position, position):
                log.warning("pending_entry_deleted", channel=self.channel, position=position.decode())
                await self.redis.xack(self.channel, self._group, position)

    async def finish_own(self) -> None:
        """Work on what the server gave to this process while the lanes were stopped."""
        for consumer in (*self._consumers, self._claimer):
            while entries := await self._read(consumer, "0", CLAIM_COUNT):
                await self.work_on(
                    [raw_message(self.channel, position, fields or [], 2) for position, fields in entries]
                )
