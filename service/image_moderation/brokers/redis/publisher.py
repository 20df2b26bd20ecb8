"""Publishing to streams, one entry an event."""

from collections.abc import Callable, Sequence
from importlib.resources import files

import structlog
from redis.asyncio import Redis

from image_moderation.brokers.redis.messages import BODY_FIELD
from image_moderation.brokers.redis.topology import bytes_held
from image_moderation.domain.message import Outgoing
from image_moderation.events.models import DEAD_LETTER_CHANNEL

SENT_MARKER = 86_400
"""Seconds that a published event is recognised, where the store is not this Redis."""

_PUBLISH_ONCE = files(__package__).joinpath("scripts", "publish_once.lua").read_text()


log = structlog.get_logger(__name__)


class RedisPublisher:
    """See `transport.Publisher`."""

    def __init__(
        self,
        redis: Redis,
        *,
        clock: Callable[[], int],
        dead_letter_retention: int,
        decision_retention: int | None,
    ) -> None:
        """`redis` stays the caller's to close. Times are in milliseconds; None keeps every decision."""
        self._redis = redis
        self._clock = clock
        self._dead_letter_retention = dead_letter_retention
        self._decision_retention = decision_retention
        self._untold = False

    async def publish(self, messages: Sequence[Outgoing]) -> list[str | None]:
        """See `transport.Publisher`. A decision that was published within a day is not published again."""
        now = self._clock()
        keep = self._decision_retention
        oldest = "" if keep is None else str(now - keep)
        pipeline = self._redis.pipeline(transaction=False)
        for message in messages:
            if message.channel == DEAD_LETTER_CHANNEL:
                minid = str(now - self._dead_letter_retention)
                pipeline.xadd(message.channel, {BODY_FIELD: message.body}, minid=minid)
            else:
                marker = f"{{{message.channel}}}:sent:{message.event_id}"
                pipeline.eval(_PUBLISH_ONCE, 2, message.channel, marker, message.body, SENT_MARKER, oldest)
        await pipeline.execute()
        return [""] * len(messages)

    async def drop_dead_letters(self, max_bytes: int) -> None:
        """Remove the oldest dead letters until the stream takes at most `max_bytes` of the server's memory.

        Repeated, because the oldest may be smaller than the others. Who does it at the same time removes the
        same ones.
        """
        dropped = 0
        while (held := await self._held()) > max_bytes:
            keep = (await self._redis.xlen(DEAD_LETTER_CHANNEL)) * max_bytes // held
            dropped += await self._redis.xtrim(DEAD_LETTER_CHANNEL, maxlen=keep, approximate=False)
            if not keep:
                break
        if dropped:
            log.warning("dead_letters_dropped", count=dropped)

    async def _held(self) -> int:
        held = await bytes_held(self._redis, DEAD_LETTER_CHANNEL)
        if held is None:
            if not self._untold:
                log.warning("dead_letters_unbounded", hint="the Redis user needs the command MEMORY USAGE")
            self._untold = True
        return held or 0
