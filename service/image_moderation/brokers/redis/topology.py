"""The consumer group of one stream: making it, trimming the stream, removing consumers, and its figures."""

from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, ResponseError

from image_moderation.brokers.port import Figures

CONSUMER_IDLE = 3_600_000
"""Milliseconds after which a consumer that owns nothing is removed."""

_TRIM = files(__package__).joinpath("scripts", "trim.lua").read_text()
_CORRECT_LAG = files(__package__).joinpath("scripts", "correct_lag.lua").read_text()
_LAST_IDS = files(__package__).joinpath("scripts", "last_ids.lua").read_text()
_LOOK = files(__package__).joinpath("scripts", "look.lua").read_text()
_REMOVE_CONSUMERS = files(__package__).joinpath("scripts", "remove_consumers.lua").read_text()

log = structlog.get_logger(__name__)


async def bytes_held(redis: Redis, stream: str) -> int | None:
    """Return the bytes that a stream takes of the server's memory; None if this user may not ask."""
    try:
        # SAMPLES 0: an estimate from the oldest, which may be small, would be far off.
        return await redis.memory_usage(stream, samples=0) or 0
    except NoPermissionError:
        return None


class Group:
    """One group of one stream. Errors are redis-py's."""

    def __init__(self, redis: Redis, stream: str, group: str, consumer: str) -> None:
        """Names of this process's consumers begin with `consumer`. `redis` stays the caller's to close."""
        self._redis = redis
        self._stream = stream
        self._name = group
        self._consumer = consumer
        self.deleted = 0
        """Entries that were deleted before the group had read them, so far and at least."""
        self._gone = 0
        self._miscounted = False

    async def create(self) -> None:
        """Create the group at the stream's beginning, and the stream, where they are missing."""
        try:
            await self._redis.xgroup_create(self._stream, self._name, id="0", mkstream=True)
            log.info("group_created", channel=self._stream, group=self._name)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    async def trim(self) -> int:
        """Trim the stream of what every group has acked; return how many entries went."""
        return int(await self._redis.eval(_TRIM, 1, self._stream))

    async def remove_idle_consumers(self) -> None:
        """Remove consumers of dead replicas."""
        await self._remove_consumers(CONSUMER_IDLE, "")

    async def leave(self) -> None:
        """Remove this process's consumers, but those that still own entries."""
        await self._remove_consumers(0, f"{self._consumer}-")

    async def _remove_consumers(self, idle: int, prefix: str) -> None:
        try:
            removed = await self._redis.eval(
                _REMOVE_CONSUMERS, 1, self._stream, self._name, str(idle), prefix
            )
        except ResponseError as error:
            if "NOGROUP" not in str(error):
                raise
        else:
            if removed:
                log.info("consumers_removed", channel=self._stream, count=removed)

    async def figures(self) -> Figures:
        """Return how far behind the group is; also find what was deleted unread."""
        found: Any = await self._redis.eval(_LOOK, 1, self._stream, self._name)
        if found is None:
            raise ResponseError(f"NOGROUP no group {self._name} on stream {self._stream}")
        length, newest, delivered, lag, pending, oldest = found
        most = length if newest and numbers(newest) > numbers(delivered) else 0
        # Redis 7.0 goes on counting what was deleted unread. 6.2, and all after an XDEL, don't know the lag.
        gone = max(0, lag - most)
        self.deleted += max(0, gone - self._gone)
        self._gone = gone
        self._miscounted = lag > 0 and not most
        age = 0.0
        if oldest:
            seconds, _ = await self._redis.time()
            age = max(0.0, seconds - numbers(oldest)[0] / 1000)
        return Figures(max(0, most - pending) if lag < 0 else min(lag, most), pending, age)

    async def correct_lag(self) -> None:
        """Correct the server's own lag, which the latest `figures` may have found to be too high."""
        if self._miscounted:
            await self._redis.eval(_CORRECT_LAG, 1, self._stream, self._name)


async def ahead_of_clock(redis: Redis, streams: Sequence[str]) -> dict[str, int]:
    """Return by how many milliseconds each stream's last id lies in the future of the server's clock, 0 if it
    doesn't. A stream gives out no smaller id than its last, and after the greatest none at all.
    """
    ids: Any = await redis.eval(_LAST_IDS, len(streams), *streams)
    seconds, microseconds = await redis.time()
    now = seconds * 1000 + microseconds // 1000
    return {stream: max(0, numbers(last)[0] - now) for stream, last in zip(streams, ids, strict=True)}


def numbers(position: bytes) -> tuple[int, int]:
    """Return an entry's id as numbers, which compare as the server compares ids."""
    time, _, number = position.partition(b"-")
    return int(time), int(number)
