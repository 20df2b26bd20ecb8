"""The store in Redis: cases and outboxes of 64 partitions, and one script call a batch."""

import os
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from pydantic_core import from_json
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from service.domain.case import Case
from service.domain.decision import Action, Applied, Decision, OutboxEntry, Publication, State, Trigger
from service.domain.errors import StoreUnavailable
from service.domain.policy import Policy
from service.domain.report import Outcome, Report
from service.redis_connection import Client
from service.store import lua
from service.store.checks import check_server
from service.store.digests import Digests
from service.store.keys import Keys, partition_of
from service.store.layout import decode
from service.store.lua import Command
from service.store.reporter_key import agree_on_key, keep_record

LATE_DELIVERY = 7 * 86_400_000
"""Milliseconds that a case outlives its window, for reports that were held up on the way."""

_EVENT = struct.Struct("<HB?6s8s8sH")
_OUTCOMES = {
    ord("c"): Outcome.COUNTED,
    ord("d"): Outcome.DUPLICATE,
    ord("b"): Outcome.ALREADY_BLOCKED,
    ord("l"): Outcome.LATE,
    ord("r"): Outcome.RETRACTED,
    ord("t"): Outcome.RETRACTED_BEFORE,
    ord("s"): Outcome.STALE,
    ord("h"): Outcome.HELD,
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


class _Call:
    """The part of one batch that goes into one script call."""

    __slots__ = ("cases", "events", "numbers", "outboxes", "reasons")

    def __init__(self) -> None:
        self.outboxes: dict[bytes, int] = {}
        self.cases: dict[bytes, int] = {}
        self.reasons: dict[str, int] = {}
        self.events: list[bytes] = []
        self.numbers: list[int] = []


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
        async with _errors():
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
        async with _errors():
            configured = self._reporter_key is not None
            await keep_record(self._redis, self._keys, self._key_in_use, configured=configured)

    async def apply(self, reports: Sequence[Report], *, retried: bool = False) -> Applied:
        """Apply a batch. See `intake.ports.Store`."""
        calls = self._calls(reports)
        commands = self._apply_commands(calls, retried=retried)
        started = perf_counter()
        async with _errors():
            replies = await lua.run(self._redis, commands)
        self._timer(perf_counter() - started)
        outcomes: list[Outcome] = [Outcome.HELD] * len(reports)
        entries: list[OutboxEntry] = []
        for call, reply in zip(calls, replies, strict=True):
            for number, letter in zip(call.numbers, reply[0], strict=True):
                outcomes[number] = _OUTCOMES[letter]
            for event, token in zip(reply[1::2], reply[2::2], strict=True):
                arrived = reports[call.numbers[event - 1]].arrived if event else None
                entries.append(OutboxEntry(_thaw(token), token, arrived))
        if retried:
            # What was found in the outboxes is older than what was decided now.
            entries.sort(key=lambda entry: entry.decision.decided_at)
        return Applied(outcomes, entries)

    def _calls(self, reports: Sequence[Report]) -> Sequence[_Call]:
        """Sort a batch into script calls: a single one, or on a Cluster one for each partition."""
        calls: dict[int, _Call] = {}
        reporter, group_of, pack = self._digests.reporter, self._digests.group, _EVENT.pack
        prefixes, outboxes, one_call = self._keys.case_prefixes, self._keys.outboxes, self._one_server
        for number, report in enumerate(reports):
            image = report.image_id.encode()
            partition = partition_of(image)
            place = 0 if one_call else partition
            call = calls.get(place)
            if call is None:
                call = calls[place] = _Call()
            cases, reasons = call.cases, call.reasons
            call.events.append(
                pack(
                    cases.setdefault(prefixes[partition] + image, len(cases) + 1),
                    call.outboxes.setdefault(outboxes[partition], len(call.outboxes) + 1),
                    report.retracted,
                    report.time.to_bytes(6, "little"),
                    reporter(report.reporter_id),
                    group_of(report.group),
                    reasons.setdefault(report.reason, len(reasons) + 1),
                )
            )
            call.numbers.append(number)
        return list(calls.values())

    def _apply_commands(self, calls: Sequence[_Call], *, retried: bool) -> list[Command]:
        now = self._clock()
        open_until = now + self._policy.report_window + LATE_DELIVERY
        decided_until = max(open_until, now + self._lifetimes.decided)
        return [
            lua.APPLY.command(
                (*call.outboxes, *call.cases),
                now,
                self._policy.block_threshold,
                self._policy.report_window,
                open_until,
                decided_until,
                now + self._lifetimes.lease,
                self._policy_hash,
                int(retried),
                len(self._keys.case_prefixes[0]),
                len(call.outboxes),
                b"".join(call.events),
                *call.reasons,
            )
            for call in calls
        ]

    async def claim_due(self, limit: int = 100) -> Sequence[OutboxEntry]:
        """Take decisions that are overdue. See `outbox.ports.Store`."""
        now = self._clock()
        commands = [
            lua.CLAIM_DUE.command((outbox,), now, now + self._lifetimes.lease, limit)
            for outbox in self._keys.outboxes
        ]
        async with _errors():
            replies = await lua.run(self._redis, commands)
        return [OutboxEntry(_thaw(token), token) for reply in replies for token in reply]

    async def settle(self, entries: Sequence[OutboxEntry]) -> Sequence[bool]:
        """Remove published decisions. See `outbox.ports.Store`."""
        commands: list[Command] = [("ZREM", self._outbox(entry), entry.token) for entry in entries]
        async with _errors():
            return [bool(removed) for removed in await lua.run(self._redis, commands)]

    async def deliver(self, publications: Sequence[Publication]) -> Sequence[bool]:
        """Publish and settle in one step, where the broker is this same Redis. See `outbox.ports.Sink`."""
        keep = self._lifetimes.stream
        oldest = b"" if keep is None else b"%d" % (self._clock() - keep)
        keys: list[bytes] = []
        arguments = [oldest]
        for publication in publications:
            keys += (self._outbox(publication.entry), publication.channel.encode())
            arguments += (publication.entry.token, publication.body)
        async with _errors():
            replies = await lua.run(self._redis, [lua.DELIVER.command(tuple(keys), *arguments)])
        return [bool(published) for published in replies[0]]

    async def outbox_size(self) -> tuple[int, int | None]:
        """Return `(decisions not yet published, when the oldest of them was taken, if any)`."""
        commands: list[Command] = [("ZCARD", outbox) for outbox in self._keys.outboxes]
        commands += [("ZRANGE", outbox, 0, 99) for outbox in self._keys.outboxes]
        async with _errors():
            replies = await lua.run(self._redis, commands)
        count = len(self._keys.outboxes)
        oldest = [_thaw(token).decided_at for tokens in replies[count:] for token in tokens]
        return sum(replies[:count]), min(oldest, default=None)

    async def case(self, image_id: str) -> tuple[Case, Sequence[Decision]]:
        """Return an image's case, reporters as digests, and its decisions not yet published."""
        image = image_id.encode()
        async with _errors():
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
    return Decision(**fields)


@asynccontextmanager
async def _errors() -> AsyncIterator[None]:
    """Whatever the server or the way to it answers instead of a result is the store being away."""
    try:
        yield
    except (RedisConnectionError, TimeoutError, OSError) as error:
        raise StoreUnavailable(f"can't be reached: {error}") from error
    except RedisError as error:
        raise StoreUnavailable(f"refuses: {error}") from error
