"""The store in Redis: cases and outboxes of 64 partitions, and one script call a batch."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from pydantic_core import from_json
from redis.asyncio import Redis

from image_moderation.domain.case import Case
from image_moderation.domain.decision import (
    Action,
    Applied,
    Decision,
    OutboxEntry,
    Publication,
    State,
    Trigger,
)
from image_moderation.domain.policy import Policy
from image_moderation.domain.report import Event, Outcome, Tick
from image_moderation.redis_connection import Client
from image_moderation.store import lua
from image_moderation.store.batches import Call, pack
from image_moderation.store.checks import check_server
from image_moderation.store.digests import Digests
from image_moderation.store.keys import Keys
from image_moderation.store.layout import decode
from image_moderation.store.lua import Command
from image_moderation.store.redis_errors import errors
from image_moderation.store.reporter_key import agree_on_key, keep_record

LATE_DELIVERY = 7 * 86_400_000
"""Milliseconds that a case outlives its window, for reports that were held up on the way."""

HOUR = 3_600_000
_OUTCOMES = {
    ord("c"): Outcome.COUNTED,
    ord("d"): Outcome.DUPLICATE,
    ord("b"): Outcome.ALREADY_BLOCKED,
    ord("l"): Outcome.LATE,
    ord("r"): Outcome.RETRACTED,
    ord("t"): Outcome.RETRACTED_BEFORE,
    ord("s"): Outcome.STALE,
    ord("h"): Outcome.HELD,
    ord("u"): Outcome.UPHELD,
    ord("v"): Outcome.CLEARED,
    ord("k"): Outcome.TICKED,
}


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long things are kept, in milliseconds."""

    decided: int
    """A decided case after its last change; never less than an open one."""
    lease: int = 5_000
    """A decision belongs to whoever took it for so long; then a sweep may publish it."""
    stream: int | None = None
    """An entry of a decision stream; None keeps it for ever."""


class RedisStore:
    """Cases and outboxes in one Redis, or in a Cluster."""

    def __init__(
        self,
        redis: Client,
        *,
        prefix: str,
        policy: Policy,
        lifetimes: Lifetimes,
        reporter_key: bytes | None,
        clock: Callable[[], int],
        random_bytes: Callable[[int], bytes] = os.urandom,
        timer: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._redis = redis
        self._one_server = isinstance(redis, Redis)
        self._keys = Keys(prefix)
        self._policy = policy
        self._policy_hash = policy.hash.encode()
        self._lifetimes = lifetimes
        self._reporter_key = reporter_key
        self._key_in_use = b""
        self._digests = Digests(b"")
        self._clock = clock
        self._random_bytes = random_bytes
        self._timer = timer

    async def open(self) -> None:
        """Check that the server may be used and agree with other replicas on the key of the digests.

        To be awaited before anything else.

        Raises:
            Misconfigured: the server must not be used as it is set up.
            StoreUnavailable: call again.
        """
        async with errors():
            await check_server(self._redis)
            self._key_in_use = await agree_on_key(
                self._redis, self._keys, self._reporter_key, self._random_bytes
            )
        self._digests = Digests(self._key_in_use)

    async def check(self) -> None:
        """Return if the store answers and still goes with this process's key.

        Raises:
            Misconfigured: somebody has started to use another key.
            StoreUnavailable: call again.
        """
        async with errors():
            configured = self._reporter_key is not None
            await keep_record(self._redis, self._keys, self._key_in_use, configured=configured)

    async def apply(self, events: Sequence[Event], *, retried: bool = False) -> Applied:
        """Apply a batch. See `intake.ports.Store`."""
        calls = pack(
            events,
            keys=self._keys,
            digests=self._digests,
            urgent=self._policy.urgent_reasons,
            one_call=self._one_server,
        )
        now = self._clock()
        started = perf_counter()
        async with errors():
            blocks_left = await self._blocks_left(now) if self._policy.max_blocks_per_hour else None
            commands = self._apply_commands(calls, now, blocks_left, retried=retried)
            replies = await lua.run(self._redis, commands)
        self._timer(perf_counter() - started)
        outcomes: list[Outcome] = [Outcome.HELD] * len(events)
        entries: list[OutboxEntry] = []
        shadow: list[Decision] = []
        for call, reply in zip(calls, replies, strict=True):
            for number, letter in zip(call.numbers, reply[0], strict=True):
                outcomes[number] = _OUTCOMES[letter]
            for number, token in zip(reply[1::2], reply[2::2], strict=True):
                if number < 0:
                    shadow.append(_thaw(token))
                    continue
                event = events[call.numbers[number - 1]] if number else None
                arrived = None if event is None or isinstance(event, Tick) else event.arrived
                entries.append(OutboxEntry(_thaw(token), token, arrived))
        if retried:
            # What was found in the outboxes is older than what was decided now.
            entries.sort(key=lambda entry: entry.decision.decided_at)
        if self._policy.max_blocks_per_hour:
            async with errors():
                await self._note_blocks(now, entries)
        return Applied(outcomes, entries, tuple(shadow))

    async def _blocks_left(self, now: int) -> int:
        """How many automatic blocks the breaker still lets pass."""
        await self._redis.zremrangebyscore(self._keys.breaker, "-inf", now - HOUR)
        return max(0, self._policy.max_blocks_per_hour - int(await self._redis.zcard(self._keys.breaker)))

    async def _note_blocks(self, now: int, entries: Sequence[OutboxEntry]) -> None:
        """Count automatic blocks; by what they are, so that a repeated batch counts none twice."""
        blocks: dict[Any, Any] = {
            entry.token: entry.decision.decided_at
            for entry in entries
            if entry.decision.action is Action.BLOCK and entry.decision.automated
        }
        if blocks:
            await self._redis.zadd(self._keys.breaker, blocks)
            await self._redis.pexpireat(self._keys.breaker, now + 2 * HOUR)

    def _apply_commands(
        self, calls: Sequence[Call], now: int, blocks_left: int | None, *, retried: bool
    ) -> list[Command]:
        policy = self._policy
        open_until = now + policy.report_window + LATE_DELIVERY
        decided_until = max(open_until, now + policy.immunity + LATE_DELIVERY, now + self._lifetimes.decided)
        sets = (self._keys.outboxes, self._keys.due, self._keys.reviews)[: 3 if policy.asks_reviews else 1]
        return [
            lua.APPLY.command(
                (*[keys[partition] for keys in sets for partition in call.partitions], *call.cases),
                now,
                policy.block_threshold,
                policy.report_window,
                open_until,
                decided_until,
                now + self._lifetimes.lease,
                self._policy_hash,
                int(retried),
                len(self._keys.case_prefixes[0]),
                len(call.partitions),
                policy.immunity,
                policy.review_threshold,
                policy.review_grace,
                int(policy.asks_reviews),
                int(policy.shadow),
                "" if blocks_left is None else blocks_left,
                b"".join(call.events),
                call.packed_traces(),
                *call.reasons,
            )
            for call in calls
        ]

    async def claim_withheld_blocks(self, limit: int = 100) -> Sequence[Tick]:
        """Return the images whose withheld block is due, and leave each to this caller for a while.

        Raises:
            StoreUnavailable: nothing is lost; what was taken is due again later.
        """
        if not self._policy.review_grace:
            return ()
        now = self._clock()
        commands = [
            lua.CLAIM_DUE.command((due,), now, now + self._lifetimes.lease, limit) for due in self._keys.due
        ]
        async with errors():
            replies = await lua.run(self._redis, commands)
        return [Tick(image.decode()) for reply in replies for image in reply]

    async def oldest_review(self) -> int | None:
        """When the oldest review that nobody has answered was asked for; None without one.

        Raises:
            StoreUnavailable: unknown now.
        """
        if not self._policy.asks_reviews:
            return None
        commands: list[Command] = [("ZRANGE", key, 0, 0, "WITHSCORES") for key in self._keys.reviews]
        async with errors():
            replies = await lua.run(self._redis, commands)
        return min((int(_score(reply)) for reply in replies if reply), default=None)

    async def breaker_open(self) -> bool:
        """Whether the last hour has had as many automatic blocks as it may have; False without a breaker.

        Raises:
            StoreUnavailable: unknown now.
        """
        if not self._policy.max_blocks_per_hour:
            return False
        async with errors():
            return await self._blocks_left(self._clock()) == 0

    async def claim_unpublished(self, limit: int = 100) -> Sequence[OutboxEntry]:
        """Take decisions that are overdue. See `outbox.ports.Store`."""
        now = self._clock()
        commands = [
            lua.CLAIM_DUE.command((outbox,), now, now + self._lifetimes.lease, limit)
            for outbox in self._keys.outboxes
        ]
        async with errors():
            replies = await lua.run(self._redis, commands)
        return [OutboxEntry(_thaw(token), token) for reply in replies for token in reply]

    async def settle(self, entries: Sequence[OutboxEntry]) -> Sequence[bool]:
        """Remove published decisions. See `outbox.ports.Store`."""
        commands: list[Command] = [("ZREM", self._outbox(entry), entry.token) for entry in entries]
        async with errors():
            return [bool(removed) for removed in await lua.run(self._redis, commands)]

    async def deliver(self, publications: Sequence[Publication]) -> Sequence[bool]:
        """Publish and settle in one step, where the broker is this same Redis. See `outbox.ports.Sink`."""
        keep = self._lifetimes.stream
        oldest = b"" if keep is None else b"%d" % (self._clock() - keep)
        keys: list[bytes] = []
        arguments = [oldest]
        for publication in publications:
            keys += (self._outbox(publication.entry), publication.message.channel.encode())
            arguments += (publication.entry.token, publication.message.body)
        async with errors():
            replies = await lua.run(self._redis, [lua.DELIVER.command(tuple(keys), *arguments)])
        return [bool(published) for published in replies[0]]

    async def outbox_size(self) -> tuple[int, int | None]:
        """Return `(decisions not yet published, when the oldest of them was taken, if any)`."""
        commands: list[Command] = [("ZCARD", outbox) for outbox in self._keys.outboxes]
        commands += [("ZRANGE", outbox, 0, 99) for outbox in self._keys.outboxes]
        async with errors():
            replies = await lua.run(self._redis, commands)
        count = len(self._keys.outboxes)
        oldest = [_thaw(token).decided_at for tokens in replies[count:] for token in tokens]
        return sum(replies[:count]), min(oldest, default=None)

    async def case(self, image_id: str) -> tuple[Case, Sequence[Decision]]:
        """Return an image's case, reporters as digests, and its decisions not yet published."""
        image = image_id.encode()
        async with errors():
            value: Any = await self._redis.get(self._keys.case(image))
            tokens: Any = await self._redis.zrange(self._keys.outbox(image), 0, -1)
        waiting = [_thaw(token) for token in tokens]
        return decode(value), [decision for decision in waiting if decision.image_id == image_id]

    def _outbox(self, entry: OutboxEntry) -> bytes:
        return self._keys.outbox(entry.decision.image_id.encode())


def _thaw(token: bytes) -> Decision:
    fields: dict[str, Any] = from_json(token)
    fields["action"] = Action(fields["action"])
    fields["state"] = State(fields["state"])
    fields["trigger"] = Trigger(fields["trigger"])
    fields.setdefault("first_reported_at", None)
    fields.setdefault("last_reported_at", None)
    return Decision(**fields)


def _score(reply: Any) -> float:
    """The first score of a ZRANGE WITHSCORES, in either protocol's shape."""
    first = reply[0]
    return float(first[1] if isinstance(first, list | tuple) else reply[1])
