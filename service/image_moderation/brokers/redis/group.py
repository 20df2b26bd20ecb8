"""A consumer group on a Redis stream: what reading alone leaves undone."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from image_moderation.brokers import port
from image_moderation.brokers.port import Figures
from image_moderation.domain.message import NO_HEADERS, RawMessage

CLAIM_COUNT = 200
ALONE_FROM = 3
"""From so many deliveries an entry is claimed alone, so that it can't raise its neighbours' count."""
CONSUMER_IDLE = 3_600_000
"""Milliseconds after which a consumer that owns nothing is removed."""
BODY_FIELD = b"__data__"
BODY_FIELDS = (BODY_FIELD, b"data")

_TRIM = files(__package__).joinpath("scripts", "trim.lua").read_text()
_REMOVE_CONSUMERS = files(__package__).joinpath("scripts", "remove_consumers.lua").read_text()

log = structlog.get_logger(__name__)


def together(figures: Sequence[Figures]) -> Figures:
    """Return the figures of several groups as if they were one."""
    lags, pending, ages = zip(*figures, strict=True)
    return Figures(sum(lags), sum(pending), max(ages))


def take_raw_entries(redis: Redis) -> None:
    """Make a client give entries as the server sends them, `[id, [name, value, …]]`.

    The dictionary that it would otherwise build for each costs as much as all else it does for it.
    """
    callbacks: Any = redis.response_callbacks
    callbacks["XREADGROUP"] = lambda reply, **_: reply.items() if reply else ()
    callbacks["XCLAIM"] = lambda reply, **_: reply


def raw_message(channel: str, position: bytes, fields: list[bytes], deliveries: int = 1) -> RawMessage:
    """A stream entry as a message; its fields besides the body are the headers."""
    if len(fields) == 2 and fields[0] == BODY_FIELD:
        body, headers = fields[1], NO_HEADERS
    else:
        named = dict(zip(fields[::2], fields[1::2], strict=True))
        name = next((name for name in BODY_FIELDS if name in named), b"")
        body = named.pop(name, b"")
        headers = {_text(key): _text(value) for key, value in named.items()}
    return RawMessage(channel, position.decode(), body, int(position.partition(b"-")[0]), deliveries, headers)


def _text(raw: bytes) -> str:
    """UTF-8, or where it is not, an escaped form that says so."""
    return raw.decode(errors="backslashreplace")


class Group:
    """One group of one stream. Errors are redis-py's."""

    def __init__(self, redis: Redis, stream: str, group: str, consumer: str) -> None:
        """Names of this process's consumers begin with `consumer`."""
        take_raw_entries(redis)
        self._redis = redis
        self._stream = stream
        self._name = group
        self._consumer = consumer
        self._abandoned = port.REDELIVER_AFTER
        self._in_hand: set[str] = set()

    async def create(self) -> None:
        """Create the group at the stream's beginning, and the stream, where they are missing."""
        try:
            await self._redis.xgroup_create(self._stream, self._name, id="0", mkstream=True)
            log.info("group_created", stream=self._stream, group=self._name)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    @contextmanager
    def in_hand(self, messages: Sequence[RawMessage]) -> Iterator[None]:
        """Meanwhile these messages are not claimed back by this process itself."""
        positions = [message.position for message in messages]
        self._in_hand.update(positions)
        try:
            yield
        finally:
            self._in_hand.difference_update(positions)

    async def ack(self, positions: Sequence[str]) -> None:
        """Take entries off the group's pending list."""
        await self._redis.xack(self._stream, self._name, *positions)

    async def claim(self) -> list[RawMessage]:
        """Take over abandoned entries: a batch of them, or one that has been delivered often."""
        try:
            pending: Any = await self._redis.xpending_range(
                self._stream, self._name, min="-", max="+", count=CLAIM_COUNT, idle=self._abandoned
            )
        except ResponseError as error:
            if "NOGROUP" in str(error):
                return []
            raise
        deliveries: dict[bytes, int] = {
            entry["message_id"]: entry["times_delivered"] + 1
            for entry in pending
            if entry["message_id"].decode() not in self._in_hand
        }
        wanted: Any = [position for position, count in deliveries.items() if count <= ALONE_FROM]
        wanted = wanted or list(deliveries)[:1]
        if not wanted:
            return []
        entries: Any = await self._redis.xclaim(
            self._stream, self._name, f"{self._consumer}-reclaim", self._abandoned, wanted
        )
        claimed = [entry for entry in entries if entry is not None]
        if len(claimed) < len(wanted):
            await self._forget_deleted(set(wanted) - {position for position, _ in claimed})
        return [
            raw_message(self._stream, position, fields, deliveries[position]) for position, fields in claimed
        ]

    async def _forget_deleted(self, positions: set[bytes]) -> None:
        """Ack entries that somebody deleted while they were pending: before Redis 7 they stay for ever."""
        for position in positions:
            if not await self._redis.xrange(self._stream, position, position):
                log.warning("pending_entry_deleted", stream=self._stream, position=position.decode())
                await self._redis.xack(self._stream, self._name, position)

    async def own_pending(self, consumer: str) -> list[RawMessage]:
        """What a consumer of this process was given and has not acked."""
        reply: Any = await self._redis.xreadgroup(
            self._name, consumer, {self._stream: "0"}, count=CLAIM_COUNT
        )
        return [
            raw_message(self._stream, position, fields or [], 2)
            for _, entries in reply
            for position, fields in entries
        ]

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
                log.info("consumers_removed", count=removed)

    async def figures(self) -> Figures:
        """How far behind the group is."""
        groups = await self._redis.xinfo_groups(self._stream)
        group = next((one for one in groups if one["name"] == self._name.encode()), None)
        if group is None:
            raise ResponseError(f"NOGROUP no group {self._name} on stream {self._stream}")
        lag = group.get("lag")
        if lag is None:
            # Before Redis 7, and after deletions, the server does not know: nothing, or at most all.
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
