"""The consumer group of one stream: making it, trimming the stream, removing consumers, and its figures."""

from importlib.resources import files
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from image_moderation.brokers.port import Figures

CONSUMER_IDLE = 3_600_000
"""Milliseconds after which a consumer that owns nothing is removed."""

_TRIM = files(__package__).joinpath("scripts", "trim.lua").read_text()
_REMOVE_CONSUMERS = files(__package__).joinpath("scripts", "remove_consumers.lua").read_text()

log = structlog.get_logger(__name__)


class Group:
    """One group of one stream. Errors are redis-py's."""

    def __init__(self, redis: Redis, stream: str, group: str, consumer: str) -> None:
        """Names of this process's consumers begin with `consumer`. `redis` stays the caller's to close."""
        self._redis = redis
        self._stream = stream
        self._name = group
        self._consumer = consumer

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
        """How far behind the group is."""
        groups = await self._redis.xinfo_groups(self._stream)
        group = next((one for one in groups if one["name"] == self._name.encode()), None)
        if group is None:
            raise ResponseError(f"NOGROUP no group {self._name} on stream {self._stream}")
        lag = group.get("lag")
        if lag is None:
            # Before Redis 7, and after deletions, the server does not know it: 0, or at most all there is.
            stream = await self._redis.xinfo_stream(self._stream)
            behind = stream["last-generated-id"] != group["last-delivered-id"]
            lag = max(0, stream["length"] - group["pending"]) if behind else 0
        # Asked for on its own, so it may be empty by now.
        oldest: Any = (await self._redis.xpending(self._stream, self._name))["min"]
        age = 0.0
        if oldest is not None:
            seconds, _ = await self._redis.time()
            age = max(0.0, seconds - int(oldest.partition(b"-")[0]) / 1000)
        return Figures(int(lag), int(group["pending"]), age)
