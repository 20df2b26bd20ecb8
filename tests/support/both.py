"""One history through a server and through the pure policy: both must end the same after each batch."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from image_moderation.domain.case import Case, Record
from image_moderation.domain.decision import Action, Decision
from image_moderation.domain.policy import Policy
from image_moderation.domain.report import Outcome, Tick
from image_moderation.domain.rules import apply
from image_moderation.redis_connection import Client
from image_moderation.store.digests import Digests
from image_moderation.store.keys import Keys, partition_of
from image_moderation.store.layout import decode
from image_moderation.store.redis_store import Lifetimes, RedisStore
from tests.support.batches import IMAGES, Batch
from tests.support.case_values import case_value
from tests.support.histories import BASE

KEY = b"a key for tests"

Answer = tuple[Decision, int | None]
"""A decision and when its report arrived."""


class Both:
    """One history at a time through a server and through the policy."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.keys = Keys("moderation")
        self.digests = Digests(KEY)
        self.now = BASE
        self.blocks: list[Decision] = []
        self.due: dict[str, int] = {}

    def store(self, policy: Policy) -> RedisStore:
        store = RedisStore(
            self.client,
            prefix="moderation",
            policy=policy,
            lifetimes=Lifetimes(decided=1000),
            reporter_key=KEY,
            clock=lambda: self.now,
        )
        store._digests = self.digests  # as `open` does, without its questions to the server
        return store

    def digested(self, case: Case) -> Case:
        """The policy's case as the store knows it."""
        records = {
            self.digests.reporter(who).hex(): Record(
                record.time,
                record.reason,
                None if record.group is None else self.digests.group(record.group).hex(),
            )
            for who, record in case.records.items()
        }
        return replace(case, records=records)

    async def value(self, image: str) -> bytes | None:
        """The packed case."""
        value = await self.client.get(self.keys.case(image.encode()))
        assert not isinstance(value, str)
        return value

    async def check(self, batches: list[Batch], unblocked: dict[str, Case]) -> None:
        images = [image.encode() for image in IMAGES]
        numbers = {partition_of(image) for image in images}
        sets = [keys[n] for keys in (self.keys.outboxes, self.keys.due, self.keys.reviews) for n in numbers]
        await self.client.delete(*sets, self.keys.breaker, *map(self.keys.case, images))
        self.blocks, self.due = [], {}
        cases = dict.fromkeys(IMAGES, Case()) | unblocked
        for image, case in unblocked.items():
            await self.client.set(self.keys.case(image.encode()), case_value(case), px=60_000)
        unsettled: list[Answer] = []
        for batch in batches:
            self.now = batch.now
            applied = await self.store(batch.policy).apply(batch.events, retried=batch.retried)
            outcomes, decisions, shadow = self._policy(batch, cases)
            assert applied.outcomes == outcomes
            old = [decision for decision, _ in unsettled]
            answers = [(entry.decision, entry.arrived) for entry in applied.entries]
            assert _by_image([one for one in answers if one[0] not in old]) == _by_image(decisions)
            assert _by_image([(one, None) for one in applied.shadow]) == _by_image(shadow)
            partitions = {partition_of(one.image_id.encode()) for one in batch.events}
            waiting = [one for one in unsettled if partition_of(one[0].image_id.encode()) in partitions]
            found = [one for one in answers if one[0] in old]
            assert _by_image(found) == _by_image(waiting if batch.retried else [])
            await self._check_sets(cases, all(one.policy.asks_reviews for one in batches))
            if batch.policy.max_blocks_per_hour:
                # What a repeated batch finds in the outboxes counts as well, if it did not before.
                self._count_blocks([decision for decision, _ in answers])
            unsettled += [(decision, None) for decision, _ in decisions]
            for image in IMAGES:
                stored = decode(await self.value(image))
                expected = self.digested(cases[image])
                assert stored == expected
                assert list(stored.records) == list(expected.records)

    async def _check_sets(self, cases: dict[str, Case], reviews: bool) -> None:
        """Withheld blocks, and where every rule asks for reviews, the unanswered ones."""
        for keys, expected in (
            (self.keys.due, self.due),
            (self.keys.reviews, {image: case.review.at for image, case in cases.items() if case.review}),
        ):
            stored: dict[str, int] = {}
            for number in {partition_of(image.encode()) for image in IMAGES}:
                reply: Any = await self.client.zrange(keys[number], 0, -1, withscores=True)
                stored |= {image.decode(): int(score) for image, score in reply}
            assert stored == expected or (keys is self.keys.reviews and not reviews)

    def _policy(
        self, batch: Batch, cases: dict[str, Case]
    ) -> tuple[list[Outcome], list[Answer], list[Answer]]:
        """Moves `cases` on, and returns the outcomes, each decision with its event's arrival, and those of
        shadow mode.
        """
        outcomes: list[Outcome] = []
        decisions: list[Answer] = []
        shadow: list[Answer] = []
        most = batch.policy.max_blocks_per_hour
        blocks_left = max(0, most - len(self.blocks)) if most else None
        for event in batch.events:
            step = apply(batch.policy, cases[event.image_id], event, batch.now, blocks_left)
            cases[event.image_id] = step.case
            outcomes.append(step.outcome)
            if isinstance(event, Tick):
                self.due.pop(event.image_id, None)
            if step.due is not None:
                self.due[event.image_id] = step.due
            if step.decision is None:
                continue
            if step.shadow:
                shadow.append((step.decision, None))
                continue
            decisions.append((step.decision, None if isinstance(event, Tick) else event.arrived))
            if step.decision.action is Action.BLOCK and step.decision.automated:
                blocks_left = None if blocks_left is None else blocks_left - 1
        return outcomes, decisions, shadow

    def _count_blocks(self, decisions: Sequence[Decision]) -> None:
        for one in decisions:
            if one.action is Action.BLOCK and one.automated and one not in self.blocks:
                self.blocks.append(one)


def _by_image(decisions: Sequence[Answer]) -> Sequence[Answer]:
    """In order for each image; between images there is none."""
    return sorted(decisions, key=lambda answer: answer[0].image_id)
