"""Publishing to streams, one entry an event."""

from collections.abc import Callable, Sequence
from importlib.resources import files

from redis.asyncio import Redis

from image_moderation.brokers.redis.messages import BODY_FIELD
from image_moderation.domain.message import Outgoing
from image_moderation.events.models import DEAD_LETTER_CHANNEL

SENT_MARKER = 86_400
"""Seconds that a published event is recognised, where the store is not this Redis."""

_PUBLISH_ONCE = files(__package__).joinpath("scripts", "publish_once.lua").read_text()


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
