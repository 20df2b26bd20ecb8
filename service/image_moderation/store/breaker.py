"""The breaker: counts automatic blocks of the last hour, and says how many more may pass.

A soft limit: each batch reads the count before and adds to it after, so batches in flight at the same time
may exceed it together.
"""

from collections.abc import Sequence
from typing import Any

from image_moderation.domain.clock import HOUR
from image_moderation.domain.decision import Action, OutboxEntry
from image_moderation.redis_connection import Client
from image_moderation.store.keys import Keys
from image_moderation.store.redis_errors import errors


class Breaker:
    """One count for all replicas. With a limit of 0 there is no breaker."""

    def __init__(self, redis: Client, keys: Keys, limit: int) -> None:
        self._redis = redis
        self._key = keys.breaker
        self._limit = limit

    async def blocks_left(self, now: int) -> int | None:
        """Return how many automatic blocks may pass; None without a breaker.

        Raises:
            StoreUnavailable: call again.
        """
        if not self._limit:
            return None
        async with errors():
            await self._redis.zremrangebyscore(self._key, "-inf", now - HOUR)
            return max(0, self._limit - int(await self._redis.zcard(self._key)))

    async def note(self, now: int, entries: Sequence[OutboxEntry]) -> None:
        """Count the automatic blocks among `entries`, each once however often it is noted.

        Raises:
            StoreUnavailable: call again.
        """
        if not self._limit:
            return
        blocks: dict[Any, Any] = {
            entry.token: entry.decision.decided_at
            for entry in entries
            if entry.decision.action is Action.BLOCK and entry.decision.automated
        }
        if blocks:
            async with errors():
                await self._redis.zadd(self._key, blocks)
                await self._redis.pexpireat(self._key, now + 2 * HOUR)

    async def is_open(self, now: int) -> bool:
        """Return whether the last hour has had as many automatic blocks as it may have.

        Raises:
            StoreUnavailable: unknown now.
        """
        return await self.blocks_left(now) == 0
