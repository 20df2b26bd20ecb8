"""A broker in memory, which delivers again, in any order, and more than once."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from random import Random

from image_moderation.brokers.port import Figures
from image_moderation.domain.message import Outgoing
from image_moderation.events.models import DEAD_LETTER_CHANNEL
from tests.simulation.judge import Judge
from tests.simulation.link import Lost, Server
from tests.simulation.loop import OUTSIDE, Process, SimulatedLoop
from tests.simulation.messages import Message
from tests.simulation.plan import Plan

ALONE_FROM = 3
"""As on Redis: from so many deliveries a message is claimed alone."""


@dataclass(eq=False, slots=True)
class Entry:
    """One message on its channel."""

    message: Message
    stamp: int | None
    deliveries: int = 0
    holder: "Session | None" = None
    since: int = 0
    """When its holder was given it, or last told that it works on it."""


@dataclass(eq=False, slots=True)
class Session:
    """One process's membership in the group."""

    process: Process
    in_hand: Callable[[], Collection[str]]
    """Positions that the process works on."""
    acked: list[tuple[int, Entry]] = field(default_factory=list)
    """The newest acks, with their times."""


class Broker(Server):
    """All channels. What the service publishes goes to the judge."""

    def __init__(
        self, loop: SimulatedLoop, chance: Random, plan: Plan, clock: Callable[[], int], judge: Judge
    ) -> None:
        super().__init__("broker", loop, chance, plan.faults)
        self.unacked: dict[str, Entry] = {}
        self.unbound: frozenset[str] = frozenset()
        """Channels that the routing refuses."""
        self.missed_heartbeats = False
        self._habits = plan.habits
        self.clock = clock
        self._judge = judge
        self._ready: dict[str, list[Entry]] = {}
        self._bells: dict[str, list[asyncio.Future[None]]] = {}
        self._expire()

    # --- producers

    def add(self, message: Message) -> None:
        """Take a message from a producer."""
        stamp = self.clock() if self._habits.stamps else None
        self._judge.arrived(message, stamp)
        entry = self.unacked[message.position] = Entry(message, stamp)
        self._offer(entry)

    def _offer(self, entry: Entry) -> None:
        channel = entry.message.channel
        entry.holder = None
        ready = self._ready.setdefault(channel, [])
        if entry not in ready:
            ready.append(entry)
        for bell in self._bells.pop(channel, ()):
            _ring(bell)

    # --- readers

    def news(self, channel: str, seconds: float) -> asyncio.Future[None]:
        """Return a future that is done when something is ready, or after so long."""
        bell: asyncio.Future[None] = self.loop.create_future()
        if self._ready.get(channel):
            bell.set_result(None)
            return bell
        self._bells.setdefault(channel, []).append(bell)
        self.loop.call_later(seconds, _ring, bell, context=OUTSIDE)
        return bell

    def take(self, session: Session, channel: str, most: int) -> list[Entry]:
        """Give a session what is ready, at most so many, often in another order."""
        ready = self._ready.get(channel, [])
        if not self.calm and self.chance.random() < 0.2:
            self.chance.shuffle(ready)
        taken, ready[:] = ready[:most], ready[most:]
        return self._give(session, taken)

    def _give(self, session: Session, entries: list[Entry]) -> list[Entry]:
        for entry in entries:
            entry.holder, entry.since = session, self.clock()
            entry.deliveries = entry.deliveries + 1 if self._habits.counts else 1
            self._judge.delivered(entry.message, entry.deliveries)
            if not self.calm and self.chance.random() < self.faults.again:
                self.loop.call_later(self.chance.expovariate(1.0), self._again, entry, context=OUTSIDE)
        return entries

    def _again(self, entry: Entry) -> None:
        if entry.message.position in self.unacked:
            self._offer(entry)

    def claim(self, session: Session, channel: str) -> list[Entry]:
        """Give a session what dead readers left: several, or one that has been delivered often."""
        before = self.clock() - self._habits.redeliver_after
        own = session.in_hand()
        idle = [
            entry
            for position, entry in self.unacked.items()
            if entry.holder
            and entry.since <= before
            and entry.message.channel == channel
            and position not in own
        ]
        seldom = [entry for entry in idle if entry.deliveries < ALONE_FROM]
        return self._give(session, seldom[:50] or idle[:1])

    def give_back(self, session: Session) -> None:
        """Deliver again what a session has and does not work on."""
        own = session.in_hand()
        for position, entry in self.unacked.items():
            if entry.holder is session and position not in own:
                self._offer(entry)

    def _expire(self) -> None:
        """Deliver again what nobody has told of for long, unless that waits to be claimed."""
        self.loop.call_later(1.0, self._expire, context=OUTSIDE)
        if self.away:
            return
        missed, self.missed_heartbeats = self.missed_heartbeats, False
        now = self.clock()
        for position, entry in self.unacked.items():
            holder = entry.holder
            if holder is None:
                continue
            if not holder.process.dead and not missed and position in holder.in_hand():
                entry.since = now
            elif not self._habits.claims and entry.since <= now - self._habits.redeliver_after:
                self._offer(entry)

    def lose(self, session: Session) -> None:
        """Notice that a session has ended."""
        if self._habits.forgets_acks:
            recent = self.clock() - 5_000
            for at, entry in session.acked:
                if at >= recent and self.chance.random() < 0.5:
                    self.unacked[entry.message.position] = entry
                    entry.deliveries = 0
                    self._offer(entry)
        session.acked.clear()
        if not self._habits.claims:
            self.give_back(session)

    def ack(self, session: Session, positions: Sequence[str]) -> None:
        """Take acks, each checked by the judge."""
        for position in positions:
            self._judge.acked(position)
            entry = self.unacked.get(position)
            if entry is None or not (entry.holder is session or self._habits.takes_late_acks):
                continue
            del self.unacked[position]
            ready = self._ready.get(entry.message.channel, [])
            if entry in ready:
                ready.remove(entry)
            session.acked = [*session.acked[-20:], (self.clock(), entry)]
            self._cut()

    def publish(self, process: Process, messages: Sequence[Outgoing]) -> list[str | None]:
        """Take what the service publishes, in order; None for what the routing refuses."""
        positions: list[str | None] = []
        for message in messages:
            if message.channel in self.unbound:
                positions.append(None)
                continue
            self.keep(process, message)
            positions.append("taken")
            self._cut()
        return positions

    def keep(self, process: Process, message: Outgoing) -> None:
        """Store one message that the service publishes."""
        if message.channel == DEAD_LETTER_CHANNEL:
            self._judge.parked(message)
        else:
            self._judge.published(process, message)

    def _cut(self) -> None:
        if not self.calm and self.chance.random() < self.faults.lost / 4:
            raise Lost

    def figures(self) -> Figures:
        """Return how far behind the group is."""
        lag = sum(len(entries) for entries in self._ready.values())
        return Figures(lag, len(self.unacked) - lag, 0.0)


def _ring(bell: asyncio.Future[None]) -> None:
    if not bell.done():
        bell.set_result(None)
