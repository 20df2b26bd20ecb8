"""Each kind of store with its outbox, and what the contract suite of the store is made of."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import pytest

import image_moderation.intake.ports
import image_moderation.outbox.ports
from image_moderation.domain.case import Case
from image_moderation.domain.decision import (
    Action,
    Applied,
    Decision,
    OutboxEntry,
    State,
    Trigger,
)
from image_moderation.domain.policy import Policy
from image_moderation.domain.report import Event, Report, Review, Tick, Verdict
from image_moderation.redis_connection import Client
from image_moderation.store.memory_store import MemoryStore
from image_moderation.store.redis_outbox import RedisOutbox
from image_moderation.store.redis_store import LATE_DELIVERY, Lifetimes, RedisStore
from tests.support.case_values import case_key, case_value
from tests.support.histories import BASE, report
from tests.support.servers import OLDEST

KEY = b"a key for tests"
LEASE = 5_000
WINDOW = 60_000
DECIDED_LIFE = 2 * (WINDOW + LATE_DELIVERY)
POLICY = Policy(block_threshold=2, report_window=WINDOW, immunity=1_000)

ODD_IDS = [
    "img-42",
    "grüße/画像/🖼️",
    "{p00}",
    "a{b}c}{",
    ":case:a:outbox:",
    "she said \"no\" \\ 'yes'",
    "new\nline\ttab\x7f",
    "nul\0nul",
    "*?[a-z]",
    " ",
    "x" * 512,
    "漢" * 512,
]
"""Image ids that must go like any other."""

IN_REDIS = pytest.mark.parametrize("backend", ["valkey", "redis", OLDEST, "cluster"], indirect=True)
IN_ONE_REDIS = pytest.mark.parametrize("backend", ["valkey", "redis", OLDEST], indirect=True)
IN_A_CLUSTER = pytest.mark.parametrize("backend", ["cluster"], indirect=True)


class Store(image_moderation.intake.ports.Store, Protocol):
    """The intake's store, and what the loops and `inspect` ask besides."""

    async def apply(self, events: Sequence[Event], *, retried: bool = False) -> Applied: ...
    async def claim_withheld_blocks(self, limit: int = 100) -> Sequence[Tick]: ...
    async def case(self, image_id: str) -> tuple[Case, Sequence[Decision]]: ...


class Outbox(image_moderation.outbox.ports.Store, Protocol):
    """The outbox's store, with the limit of a claim."""

    async def claim_unpublished(self, limit: int = 100) -> Sequence[OutboxEntry]: ...


@dataclass
class Backend:
    """One kind of store, empty."""

    name: str
    url: str | None = None
    now: int = BASE
    client: Client | None = None
    policy: Policy = POLICY
    memory: list[MemoryStore] = field(default_factory=list)

    def clock(self) -> int:
        return self.now

    def memory_store(self) -> MemoryStore:
        """There is one for all."""
        if not self.memory:
            self.memory.append(MemoryStore(policy=self.policy, clock=self.clock, lease=LEASE))
        return self.memory[0]

    def redis_store(self, decided: int = DECIDED_LIFE) -> RedisStore:
        assert self.client is not None
        return RedisStore(
            self.client,
            prefix="moderation",
            policy=self.policy,
            lifetimes=Lifetimes(decided=decided, lease=LEASE),
            reporter_key=KEY,
            clock=self.clock,
        )

    def redis_outbox(self, decision_retention: int | None = None) -> RedisOutbox:
        assert self.client is not None
        return RedisOutbox(
            self.client,
            prefix="moderation",
            clock=self.clock,
            lease=LEASE,
            decision_retention=decision_retention,
        )

    async def opened(self) -> Store:
        """A store as another process would have it."""
        if self.client is None:
            return self.memory_store()
        store = self.redis_store()
        await store.open()
        return store

    def outbox(self) -> Outbox:
        """An outbox as another process would have it."""
        return self.memory_store().outbox if self.client is None else self.redis_outbox()

    async def seed(self, image: str, case: Case) -> None:
        """Puts a case without records in place, such as a verdict leaves behind."""
        if self.client is None:
            self.memory_store()._cases[image] = case
        else:
            await self.client.set(case_key(image), case_value(case), px=60_000)


def decision(image: str = "img-42", **changes: object) -> Decision:
    """What two reporters at BASE + 1 and BASE + 2 bring about."""
    facts: dict[str, object] = {
        "image_id": image,
        "action": Action.BLOCK,
        "revision": 1,
        "decided_at": BASE,
        "state": State.BLOCKED,
        "trigger": Trigger.THRESHOLD,
        "automated": True,
        "distinct_reporters": 2,
        "threshold": 2,
        "reasons": {"unspecified": 2},
        "first_reported_at": BASE + 1,
        "last_reported_at": BASE + 2,
        "policy": POLICY.hash,
    }
    return Decision(**(facts | changes))  # type: ignore[arg-type] # a test's own keywords


def two_reports(image: str = "img-42") -> list[Report]:
    return [report("user-1", 1, image=image), report("user-2", 2, image=image, delay=7)]


def review(image: str, time: int, verdict: Verdict) -> Review:
    return Review(image, BASE + time, BASE + time, verdict)


def by_image(entries: Sequence[OutboxEntry]) -> list[Decision]:
    """Between images there is no order."""
    return sorted((entry.decision for entry in entries), key=lambda one: one.image_id)


def summary(applied: Applied) -> list[tuple[str, Action, Trigger, int]]:
    return [
        (one.image_id, one.action, one.trigger, one.revision)
        for one in (entry.decision for entry in applied.entries)
    ]
