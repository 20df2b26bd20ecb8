"""The policies under test, behind one interface: the real one on a real store, and a plain count.

A profile is a set of real `MODERATION_*` settings. What the moderators and the site know reaches a contestant
as events; it answers with what it decided.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from image_moderation.domain.decision import Action, Trigger
from image_moderation.domain.policy import Policy
from image_moderation.domain.report import Event, Report, Review
from image_moderation.settings import Settings
from image_moderation.store.memory_store import MemoryStore
from image_moderation.store.redis_store import RedisStore
from image_moderation.wiring import policy as policy_of
from tests.benchmarks.abuse.world import Person

MINUTE = 60_000
BREAKER_LOOKS = 30 * MINUTE
"""How often the simulation looks after blocks that the breaker withholds; the service does so every 10 s."""

PROFILES: Mapping[str, Mapping[str, str]] = {
    "default": {},
    "moderated": {
        "MODERATION_REVIEW_THRESHOLD": "5",
        "MODERATION_BLOCK_THRESHOLD": "10",
        "MODERATION_REVIEW_GRACE": "6h",
    },
}


def policy(settings: Mapping[str, str]) -> Policy:
    """Return the policy of an environment, checked by the service's own code."""
    return policy_of(Settings.load({"MODERATION_BROKER_URL": "redis://127.0.0.1", **settings}))


class Taken(NamedTuple):
    """A decision."""

    image: str
    action: Action
    trigger: str
    revision: int
    at: int


class Contestant(Protocol):
    """A policy under test. Times come with the events and never fall."""

    moderated: bool
    """Whether moderators hear of its decisions and it hears of their verdicts."""

    async def report(self, report: Report, sender: Person) -> Sequence[Taken]:
        """Take a report."""
        ...

    async def review(self, review: Review) -> Sequence[Taken]:
        """Take a verdict."""
        ...

    async def look(self, now: int) -> Sequence[Taken]:
        """Do what is due by now."""
        ...

    def next_look(self) -> int | None:
        """Return when something is due, if no event comes before; None if nothing is."""
        ...

    def priority(self, image: str) -> float | None:
        """Return the place in the queue of an image whose report led to no decision; None keeps it out."""
        ...


class Clock:
    """The simulation's time, which a store reads."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        """Return the time in milliseconds."""
        return self.now


class RealPolicy:
    """The service's policy on one of its stores, the in-memory one or the script in Redis."""

    moderated = True

    def __init__(
        self, store: MemoryStore | RedisStore, policy: Policy, clock: Clock, *, groups: bool = True
    ) -> None:
        self._store = store
        self._policy = policy
        self._clock = clock
        self._groups = groups
        self._looks: list[int] = []
        self._breaker_holds: set[str] = set()

    async def report(self, report: Report, sender: Person) -> Sequence[Taken]:
        """See `Contestant`."""
        return await self._apply(report if self._groups else report._replace(group=None), report.arrived)

    async def review(self, review: Review) -> Sequence[Taken]:
        """See `Contestant`."""
        self._breaker_holds.discard(review.image_id)
        return await self._apply(review, review.arrived)

    async def look(self, now: int) -> Sequence[Taken]:
        """See `Contestant`."""
        self._clock.now = now
        self._looks = [at for at in self._looks if at > now]
        taken: list[Taken] = []
        # With a breaker no more can block than it lets pass, so looking at the others would change nothing.
        limit = 10 * self._policy.max_blocks_per_hour or 10_000
        for tick in sorted(await self._store.claim_withheld_blocks(limit)):
            taken += await self._apply(tick, now)
        if self._breaker_holds and not any(at <= now + BREAKER_LOOKS for at in self._looks):
            self._looks.append(now + BREAKER_LOOKS)
        return taken

    def next_look(self) -> int | None:
        """See `Contestant`."""
        return min(self._looks, default=None)

    def priority(self, image: str) -> float | None:
        """See `Contestant`."""
        return None

    async def _apply(self, event: Event, now: int) -> list[Taken]:
        self._clock.now = now
        taken = []
        for entry in (await self._store.apply([event])).entries:
            one = entry.decision
            taken.append(Taken(one.image_id, one.action, str(one.trigger), one.revision, one.decided_at))
            if one.action is Action.REQUEST_REVIEW and self._policy.review_grace:
                self._looks.append(one.decided_at + self._policy.review_grace)
            if one.trigger is Trigger.BREAKER:
                self._breaker_holds.add(one.image_id)
                self._looks.append(now + BREAKER_LOOKS)
            elif one.action is Action.BLOCK:
                self._breaker_holds.discard(one.image_id)
        return taken


def in_memory(settings: Mapping[str, str], *, groups: bool = True) -> RealPolicy:
    """Return the real policy of these settings, on the in-memory store."""
    clock, rule = Clock(), policy(settings)
    return RealPolicy(MemoryStore(policy=rule, clock=clock), rule, clock, groups=groups)


def least_reporters(settings: Mapping[str, str]) -> int:
    """Return how many reporters can lead to a decision at the least; fewer never can."""
    rule = policy(settings)
    return 1 if rule.urgent_reasons else min(rule.block_threshold, rule.review_threshold or 1_000)


class PlainCount:
    """The handler that anybody would write in an afternoon: distinct accounts since ever, and no verdicts."""

    moderated = False

    def __init__(self, threshold: int = 5) -> None:
        self._threshold = threshold
        self._reporters: dict[str, set[str]] = {}

    async def report(self, report: Report, sender: Person) -> Sequence[Taken]:
        """See `Contestant`."""
        known = self._reporters.setdefault(report.image_id, set())
        before = len(known)
        known.add(report.reporter_id)
        if before < self._threshold <= len(known):
            return [Taken(report.image_id, Action.BLOCK, "threshold", 1, report.arrived)]
        return ()

    async def review(self, review: Review) -> Sequence[Taken]:
        """See `Contestant`."""
        return ()

    async def look(self, now: int) -> Sequence[Taken]:
        """See `Contestant`."""
        return ()

    def next_look(self) -> int | None:
        """See `Contestant`."""
        return None

    def priority(self, image: str) -> float | None:
        """See `Contestant`."""
        return None
