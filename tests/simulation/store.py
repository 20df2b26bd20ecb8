"""The service's own store in memory as a server, and a replica's link to it."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from random import Random
from typing import Any, TypeVar
from zlib import crc32

from image_moderation.domain.decision import Applied, Backlog, Delivery, OutboxEntry, Publication
from image_moderation.domain.errors import StoreUnavailable
from image_moderation.domain.policy import Policy
from image_moderation.domain.report import Event, Outcome, Tick
from image_moderation.store.memory_store import MemoryStore
from tests.simulation.broker import Broker
from tests.simulation.judge import ApplyCall, Judge
from tests.simulation.link import Link, Server
from tests.simulation.loop import Process, SimulatedLoop
from tests.simulation.plan import Plan

T = TypeVar("T")


def at_once(call: Coroutine[Any, Any, T]) -> T:
    """Return the result of a call that waits for nothing."""
    try:
        call.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    raise AssertionError("it waits")


class StoreServer(Server):
    """One `MemoryStore` for all replicas, each of whose calls has its own time."""

    def __init__(self, loop: SimulatedLoop, chance: Random, plan: Plan, judge: Judge) -> None:
        super().__init__("store", loop, chance, plan.faults)
        self.now = 0
        self.memory = MemoryStore(policy=plan.policy, clock=lambda: self.now)
        self.judge = judge

    def apply(self, process: Process, call: ApplyCall) -> Applied:
        """Apply events in one step."""
        self.now = call.now
        self.memory._policy = call.policy  # in Redis each call brings its own
        result = at_once(self.memory.apply(call.events, retried=call.retried))
        cases = {event.image_id: at_once(self.memory.case(event.image_id))[0] for event in call.events}
        self.judge.applied(process, call, result, cases)
        self._check_outbox()
        return result

    def claim_unpublished(self, process: Process, now: int) -> Sequence[OutboxEntry]:
        self.now = now
        entries = at_once(self.memory.outbox.claim_unpublished())
        self.judge.claimed(process, now, entries)
        self._check_outbox()
        return entries

    def claim_withheld_blocks(self, now: int) -> Sequence[Tick]:
        self.now = now
        ticks = at_once(self.memory.claim_withheld_blocks())
        self.judge.ticks(now, ticks)
        return ticks

    def settle(self, entries: Sequence[OutboxEntry]) -> Sequence[bool]:
        settled = at_once(self.memory.outbox.settle(entries))
        for entry, removed in zip(entries, settled, strict=True):
            if removed:
                self.judge.settle(entry.decision)
        self._check_outbox()
        return settled

    def backlog(self) -> Backlog:
        return at_once(self.memory.outbox.backlog())

    def _check_outbox(self) -> None:
        self.judge.outbox_has(self.memory.outbox.waiting())


class StoreSession:
    """What one replica sees of the store, as `RedisStore` and `RedisOutbox` show it."""

    def __init__(
        self,
        process: Process,
        *,
        server: StoreServer,
        broker: Broker,
        plan: Plan,
        policy: Policy,
        clock: Callable[[], int],
    ) -> None:
        self.link = Link(process, server, StoreUnavailable)
        self.breaker = self
        self._server = server
        self._broker = broker
        self._process = process
        self._plan = plan
        self._policy = policy
        self._clock = clock
        self._offset = 0

    async def open(self) -> None:
        await self.check()

    async def check(self) -> None:
        """As `RedisStore.check`: a clock that is off makes the store unavailable."""
        self._offset = await self.link.call("check", lambda: self._clock() - self._broker.clock())
        self._refuse_skew()

    def _refuse_skew(self) -> None:
        if self._plan.most_skew is not None and abs(self._offset) > self._plan.most_skew:
            raise StoreUnavailable(f"this machine's clock is {self._offset} ms off")

    async def oldest_review(self) -> int | None:
        return self.link.look(lambda: None)

    async def is_open(self, now: int) -> bool:
        return self.link.look(lambda: False)

    async def backlog(self) -> Backlog:
        return self.link.look(self._server.backlog)

    async def apply(self, events: Sequence[Event], *, retried: bool = False) -> Applied:
        """Apply a batch in one call, or in several of which some may fail."""
        self._refuse_skew()
        now = self._clock()
        outcomes: dict[int, Outcome] = {}
        entries: list[OutboxEntry] = []
        shadow: list[Any] = []
        for part in self._parts(events):
            call = ApplyCall(now, self._policy, [events[number] for number in part], retried)
            applied = await self.link.call("apply", partial(self._server.apply, self._process, call))
            outcomes |= zip(part, applied.outcomes, strict=True)
            entries += applied.entries
            shadow += applied.shadow
        if retried:
            entries.sort(key=lambda entry: entry.decision.decided_at)
        return Applied([outcomes[number] for number in range(len(events))], entries, shadow)

    def _parts(self, events: Sequence[Event]) -> list[list[int]]:
        """Cut a batch by images, as a Cluster's partitions do."""
        parts: dict[int, list[int]] = {}
        for number, event in enumerate(events):
            parts.setdefault(crc32(event.image_id.encode()) % self._plan.parts, []).append(number)
        return list(parts.values())

    async def claim_withheld_blocks(self) -> Sequence[Tick]:
        now = self._clock()
        return await self.link.call("claim ticks", lambda: self._server.claim_withheld_blocks(now))

    async def claim_unpublished(self) -> Sequence[OutboxEntry]:
        now = self._clock()
        return await self.link.call("sweep", lambda: self._server.claim_unpublished(self._process, now))

    async def settle(self, entries: Sequence[OutboxEntry]) -> Sequence[bool]:
        return await self.link.call("settle", lambda: self._server.settle(entries))

    async def deliver(self, publications: Sequence[Publication]) -> Sequence[Delivery]:
        """Publish and settle in one step, as where one Redis is both."""
        self._server.judge.sends(self._process, [one.message for one in publications])
        return await self.link.call("deliver", lambda: self._deliver(publications))

    def _deliver(self, publications: Sequence[Publication]) -> Sequence[Delivery]:
        deliveries = []
        for publication in publications:
            if publication.entry not in self._server.memory.outbox.waiting():
                deliveries.append(Delivery.ALREADY_SETTLED)
                continue
            self._broker.keep(self._process, publication.message)
            self._server.settle([publication.entry])
            deliveries.append(Delivery.SETTLED)
        return deliveries

    async def aclose(self) -> None:
        await asyncio.sleep(0)
