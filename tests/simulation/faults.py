"""What goes wrong, and when."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from random import Random
from typing import Any

from tests.simulation.broker import Broker
from tests.simulation.plan import Plan
from tests.simulation.replica import Running
from tests.simulation.store import StoreServer

UNBOUND = [
    frozenset({"image.blocked"}),
    frozenset({"image.blocked", "image.unblocked", "image.review-requested"}),
    frozenset({"image.dead-letter"}),
]
"""Channels that the routing refuses together."""


async def now_and_then(chance: Random, mean: float, act: Callable[[], None]) -> None:
    """Do something again and again; never with a mean of 0."""
    while mean:
        await asyncio.sleep(chance.expovariate(1 / mean))
        act()


class Course:
    """The faults of one run."""

    def __init__(
        self,
        plan: Plan,
        *,
        chance: Random,
        broker: Broker,
        store: StoreServer,
        running: Mapping[int, Running],
        note: Callable[[str], None],
    ) -> None:
        """`running` has the replicas of the moment."""
        self.kills = 0
        self.strange = False
        """Whether a client library has raised what none should."""
        self.skews = [0] * plan.replicas
        """Milliseconds by which each replica's clock is off."""
        self._plan = plan
        self._chance = chance
        self._broker = broker
        self._store = store
        self._running = running
        self._note = note

    def begin(self) -> list[Coroutine[Any, Any, None]]:
        """Return what goes wrong until it is cancelled."""
        faults, chance = self._plan.faults, self._chance
        self._broker.calm = self._store.calm = False
        self._set_clocks()
        return [
            now_and_then(chance, faults.kills, self._kill),
            now_and_then(chance, faults.stops, self._stop),
            now_and_then(chance, faults.strange, self._make_strange),
            now_and_then(chance, 20.0 if self._plan.skew else 0, self._set_clocks),
            self._outages(),
            self._unbind(),
        ]

    def end(self) -> None:
        """End all faults. Clocks that the store refuses are right from now on."""
        for server in (self._broker, self._store):
            server.away, server.calm = "", True
        self._broker.unbound = frozenset()
        for running in self._running.values():
            running.process.steps_left = 0
            running.store.link.strange = running.transport.link.strange = None
        self._set_clocks(self._plan.most_skew)

    def _any(self) -> Running:
        return self._running[self._chance.choice(sorted(self._running))]

    def _kill(self) -> None:
        """Kill a replica before one of its next steps."""
        self.kills += 1
        self._any().process.steps_left = int(10 ** (self._chance.random() * 3))

    def _stop(self) -> None:
        self._any().stop.set()

    def _make_strange(self) -> None:
        self.strange = True
        self._any().make_strange(self._chance)

    def _set_clocks(self, taken: int | None = None) -> None:
        most = self._plan.skew if taken is None else min(self._plan.skew, taken // 2)
        self.skews = [self._chance.randint(-most, most) for _ in self.skews]

    async def _outages(self) -> None:
        faults, chance = self._plan.faults, self._chance
        while faults.outages:
            await asyncio.sleep(chance.expovariate(1 / faults.outages))
            servers = [self._broker, self._store]
            if not self._plan.one_server:
                servers = chance.choice([servers, servers[:1], servers[1:]])
            for server in servers:
                server.away = chance.choice(["refuses", "silent"])
                self._note(f"the {server.name} {server.away}")
            await asyncio.sleep(chance.expovariate(1 / faults.outage))
            for server in servers:
                server.away = ""
                self._note(f"the {server.name} is back")
            if self._broker in servers and chance.random() < 0.5:
                self._broker.missed_heartbeats = True

    async def _unbind(self) -> None:
        faults, chance = self._plan.faults, self._chance
        while faults.unroutable and not self._plan.one_server:
            await asyncio.sleep(chance.expovariate(1 / faults.unroutable))
            self._broker.unbound = chance.choice(UNBOUND)
            await asyncio.sleep(chance.expovariate(1 / 5))
            self._broker.unbound = frozenset()
