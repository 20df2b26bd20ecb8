"""The store in Redis: the cases of 64 partitions, and one script call a batch."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any

from redis.asyncio import Redis

from image_moderation.domain.case import Case
from image_moderation.domain.clock import DAY
from image_moderation.domain.decision import Applied, Decision
from image_moderation.domain.errors import StoreUnavailable
from image_moderation.domain.policy import Policy
from image_moderation.domain.report import Event, Tick
from image_moderation.redis_connection import Client
from image_moderation.store import lua
from image_moderation.store.arguments import ApplyArguments, ClaimDueArguments
from image_moderation.store.breaker import Breaker
from image_moderation.store.checks import check_server, clock_offset
from image_moderation.store.digests import Digests
from image_moderation.store.durability import NOTHING_MORE, Confirmation, Durability
from image_moderation.store.keys import Keys
from image_moderation.store.layout import decode
from image_moderation.store.lua import Command
from image_moderation.store.packing import Call, pack
from image_moderation.store.redis_errors import errors
from image_moderation.store.redis_outbox import LEASE
from image_moderation.store.replies import Reader, thaw
from image_moderation.store.reporter_key import agree_on_key, keep_record

LATE_DELIVERY = 7 * DAY
"""Milliseconds that a case outlives its window, for reports that were held up on the way."""


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long things are kept, in milliseconds."""

    decided: int
    """A decided case after its last change; never less than an open one."""
    lease: int = LEASE
    """A decision, or an image to look at again, belongs to its taker for so long."""


def kept_decided(policy: Policy, retention: int) -> int:
    """Return how long a decided case is kept after its last change, in milliseconds."""
    return max(retention, max(policy.report_window, policy.immunity, policy.review_grace) + LATE_DELIVERY)


class RedisStore:
    """The cases in one Redis, or in a Cluster. Their decisions go to the outbox of `RedisOutbox`."""

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
        durability: Durability = NOTHING_MORE,
        timer: Callable[[float], None] = lambda _: None,
        most_skew: int | None = None,
        on_clock_offset: Callable[[float], None] = lambda _: None,
    ) -> None:
        """`clock` gives milliseconds since 1970 UTC; `timer` takes the seconds of each `apply`, which returns
        once `durability` is reached.

        Where the clock is off from the store's by more than `most_skew` milliseconds the store counts as
        unavailable; None takes any clock. `on_clock_offset` takes the seconds by which it is ahead.
        """
        self._redis = redis
        self._one_server = isinstance(redis, Redis)
        self._keys = Keys(prefix)
        self._confirmation = Confirmation(redis, durability, self._keys.confirmed)
        self.breaker = Breaker(redis, self._keys, policy.max_blocks_per_hour)
        self._policy = policy
        self._policy_hash = policy.hash.encode()
        self._lifetimes = lifetimes
        self._reporter_key = reporter_key
        self._key_in_use = b""
        self._digests = Digests(b"")
        self._clock = clock
        self._random_bytes = random_bytes
        self._timer = timer
        self._most_skew = most_skew
        self._on_clock_offset = on_clock_offset
        self._clock_offset = 0

    async def open(self) -> None:
        """Check that the server may be used and agree with other replicas on the key of the digests.

        Call it before anything else.

        Raises:
            Misconfigured: the server must not be used as it is set up.
            StoreUnavailable: call again.
        """
        await self._check_clock()
        async with errors():
            await check_server(self._redis)
            await self._confirmation.check_support()
            self._key_in_use = await agree_on_key(
                self._redis, self._keys, self._reporter_key, self._random_bytes
            )
        self._digests = Digests(self._key_in_use)

    async def check(self) -> None:
        """Check that the store answers, that the clocks agree, that the reporter key is still in use, and
        that what was written is as safe as it must be.

        Raises:
            Misconfigured: another key is in use now.
            StoreUnavailable: call again.
        """
        async with errors():
            configured = self._reporter_key is not None
            await keep_record(self._redis, self._keys, self._key_in_use, configured=configured)
        await self._check_clock()
        async with errors():
            await self._confirmation.confirm(self._keys.outboxes)

    async def _check_clock(self) -> None:
        async with errors():
            self._clock_offset = await clock_offset(self._redis, self._clock)
        self._on_clock_offset(self._clock_offset / 1000)
        self._refuse_skew()

    def _refuse_skew(self) -> None:
        """Raise StoreUnavailable while the clock is off: what is written then could expire at once."""
        if self._most_skew is not None and abs(self._clock_offset) > self._most_skew:
            where = "ahead of" if self._clock_offset > 0 else "behind"
            raise StoreUnavailable(
                f"this machine's clock is {abs(self._clock_offset) // 1000} s {where} the store's; "
                f"takes {self._most_skew // 1000} s at most"
            )

    async def apply(self, events: Sequence[Event], *, retried: bool = False) -> Applied:
        """Apply a batch. See `intake.ports.Store`."""
        self._refuse_skew()
        calls = pack(
            events,
            keys=self._keys,
            digests=self._digests,
            urgent=self._policy.urgent_reasons,
            one_call=self._one_server,
        )
        now = self._clock()
        started = perf_counter()
        reader = Reader(events)
        while calls:
            calls = await self._run(calls, reader, now, retried=retried)
        self._timer(perf_counter() - started)
        applied = reader.applied()
        if retried:
            # Decisions found in the outboxes are older than those taken now.
            entries = sorted(applied.entries, key=lambda entry: entry.decision.decided_at)
            applied = applied._replace(entries=entries)
        return applied

    async def _run(self, calls: Sequence[Call], reader: Reader, now: int, *, retried: bool) -> list[Call]:
        """Run calls, and return calls for what they have left: a script does a bounded amount of work."""
        blocks_left = await self.breaker.blocks_left(now)
        commands = self._apply_commands(calls, now, blocks_left, retried=retried)
        async with errors():
            answers = await self._confirmation.run(commands)
        applied = [reader.read(call, reply) for call, reply in zip(calls, answers, strict=True)]
        await self.breaker.note(now, reader.applied().entries)
        return [
            call.after(done) for call, done in zip(calls, applied, strict=True) if done < len(call.events)
        ]

    def _apply_commands(
        self, calls: Sequence[Call], now: int, blocks_left: int | None, *, retried: bool
    ) -> list[Command]:
        policy = self._policy
        open_until = now + policy.report_window + LATE_DELIVERY
        decided_until = now + kept_decided(policy, self._lifetimes.decided)
        sets = (self._keys.outboxes, self._keys.due, self._keys.reviews)
        arguments = partial(
            ApplyArguments,
            now=now,
            block_threshold=policy.block_threshold,
            report_window=policy.report_window,
            most_records=policy.most_records,
            immunity=policy.immunity,
            review_threshold=policy.review_threshold,
            review_grace=policy.review_grace,
            shadow=policy.shadow,
            blocks_left=blocks_left,
            policy_hash=self._policy_hash,
            open_until=open_until,
            decided_until=decided_until,
            sweep_at=now + self._lifetimes.lease,
            retried=retried,
            key_prefix=len(self._keys.case_prefixes[0]),
        )
        commands: list[Command] = []
        for call in calls:
            waiting_sets = policy.asks_reviews or call.ticks
            given = sets if waiting_sets else sets[:1]
            command = lua.APPLY.command(
                (*[keys[partition] for keys in given for partition in call.partitions], *call.cases),
                arguments(
                    waiting_sets=waiting_sets,
                    outboxes=len(call.partitions),
                    events=b"".join(call.events),
                    traces=call.packed_traces(),
                    reasons=tuple(call.reasons),
                ),
            )
            commands.append(command)
        return commands

    async def claim_withheld_blocks(self, limit: int = 100) -> Sequence[Tick]:
        """Return the images whose withheld block is due, and leave each to this caller for one lease.

        Raises:
            StoreUnavailable: nothing is lost; what was taken is due again later.
        """
        now = self._clock()
        arguments = ClaimDueArguments(now=now, next_try=now + self._lifetimes.lease, limit=limit)
        commands = [lua.CLAIM_DUE.command((due,), arguments) for due in self._keys.due]
        async with errors():
            answers = await lua.run(self._redis, commands)
        return [Tick(image.decode()) for images in answers for image in images]

    async def oldest_review(self) -> int | None:
        """Return when the oldest unanswered review was requested, in milliseconds; None without one.

        Raises:
            StoreUnavailable: unknown now.
        """
        if not self._policy.asks_reviews:
            return None
        commands: list[Command] = [("ZRANGE", key, 0, 0, "WITHSCORES") for key in self._keys.reviews]
        async with errors():
            answers = await lua.run(self._redis, commands)
        return min((int(_score(answer)) for answer in answers if answer), default=None)

    async def case(self, image_id: str) -> tuple[Case, Sequence[Decision]]:
        """Return an image's case, reporters as digests, and its decisions not yet published."""
        image = image_id.encode()
        async with errors():
            value: Any = await self._redis.get(self._keys.case(image))
            tokens: Any = await self._redis.zrange(self._keys.outbox(image), 0, -1)
        waiting = [thaw(token) for token in tokens]
        return decode(value), [decision for decision in waiting if decision.image_id == image_id]


def _score(reply: Any) -> float:
    """The first score of a ZRANGE WITHSCORES, in either protocol's shape."""
    first = reply[0]
    return float(first[1] if isinstance(first, list | tuple) else reply[1])
