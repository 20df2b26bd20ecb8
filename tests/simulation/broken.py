"""Services that are broken on purpose, to see that the simulation finds it, and how soon."""

from collections.abc import Callable, Sequence
from typing import Any

from image_moderation.domain.decision import Applied, Delivery, OutboxEntry, Publication
from image_moderation.domain.message import RawMessage
from image_moderation.intake.intake import Intake
from image_moderation.loops import Loop, loops_of, tick
from image_moderation.outbox.outbox import BrokerSink, Outbox
from image_moderation.store.memory_store import MemoryOutbox
from tests.simulation.judge import ApplyCall
from tests.simulation.loop import Process
from tests.simulation.simulation import Simulation


class AcksFirst(Intake):
    """Acks a batch before the store has it."""

    async def process(self, messages: Sequence[RawMessage]) -> None:
        await self._until_available("ack", lambda _: self._source.ack(messages))
        await super().process(messages)


class SettlesFirst(BrokerSink):
    """Settles decisions before the broker has them."""

    async def deliver(self, publications: Sequence[Publication]) -> Sequence[Delivery]:
        settled = await self._store.settle([one.entry for one in publications])
        await self._publisher.publish(publications)
        return [Delivery.SETTLED if removed else Delivery.ALREADY_SETTLED for removed in settled]


class SweepsTwice(Outbox):
    """Publishes what it has swept, and then again."""

    async def sweep(self) -> int:
        entries = await self._store.claim_unpublished()
        for _ in range(2):
            if entries:
                await self.publish(entries)
        return len(entries)


class IgnoresLeases(MemoryOutbox):
    """Gives every decision to every sweep."""

    async def claim_unpublished(self, limit: int = 100) -> Sequence[OutboxEntry]:
        return self.waiting()[:limit]


class DiesWithItsTaker(MemoryOutbox):
    """Loses what a replica has taken when that is killed, as an outbox in its own memory would."""

    def __init__(self, clock: Callable[[], int]) -> None:
        super().__init__(clock=clock)
        self.takers: dict[bytes, Process] = {}

    def forget(self) -> None:
        """Drop what the dead have left."""
        for token, taker in self.takers.items():
            if taker.dead:
                self._entries.pop(token, None)


def without_ticks(**parts: Any) -> list[Loop]:
    """All loops but the one that looks at withheld blocks, which ran only with a grace period once."""
    return [loop for loop in loops_of(**parts) if getattr(loop.call, "func", None) is not tick]


def acks_before_storing(site: Simulation) -> None:
    site.parts.intake = AcksFirst


def settles_before_publishing(site: Simulation) -> None:
    site.parts.sink = SettlesFirst


def sweeps_twice(site: Simulation) -> None:
    site.parts.outbox = SweepsTwice


def ignores_leases(site: Simulation) -> None:
    site.store.memory.outbox = IgnoresLeases(clock=lambda: site.store.now)


def loses_the_outbox(site: Simulation) -> None:
    outbox = site.store.memory.outbox = DiesWithItsTaker(clock=lambda: site.store.now)
    apply = site.store.apply

    def applying(process: Process, call: ApplyCall) -> Applied:
        outbox.forget()
        result = apply(process, call)
        outbox.takers |= {
            entry.token: process for entry in result.entries if entry.token not in outbox.takers
        }
        return result

    site.store.apply = applying  # type: ignore[method-assign]


def never_looks_again(site: Simulation) -> None:
    site.parts.loops = without_ticks


BROKEN: dict[str, Callable[[Simulation], None]] = {
    "ack-before-store": acks_before_storing,
    "settle-before-publish": settles_before_publishing,
    "lease-ignored": ignores_leases,
    "sweep-twice": sweeps_twice,
    "crash-loses-outbox": loses_the_outbox,
    "no-second-look": never_looks_again,
}
"""By name; each changes a site before it runs."""
