"""The Lua held to the pure policy: random histories give both the same outcomes, decisions and cases.

More histories than by default: HISTORIES=20000 pytest tests/integration/test_lua_against_policy.py
"""

import asyncio
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from image_moderation.domain.case import Case, Record
from image_moderation.domain.decision import Action, Decision
from image_moderation.domain.policy import Policy
from image_moderation.domain.report import Event, Outcome, Report, Review, Tick, Verdict
from image_moderation.domain.rules import apply
from image_moderation.redis_connection import Client, connect
from image_moderation.store.digests import Digests
from image_moderation.store.keys import Keys, partition_of
from image_moderation.store.layout import decode
from image_moderation.store.redis_store import Lifetimes, RedisStore
from tests.support.case_values import case_value
from tests.support.histories import BASE, report, retraction, traces

HISTORIES = int(os.environ.get("HISTORIES", "300"))
KEY = b"a key for tests"
# The first two share a partition, so that one script call serves both.
IMAGES = ("img-0", "img-20", "img-1")
# Three of 64 and the one of 43 fill the table of reasons to the last byte.
LONG = [letter * 64 for letter in "xyz"] + ["v" * 43, "v" * 44]
REASONS = ["unspecified", "other", "a", "aa", "spam", "spam.a", "nudity", *LONG]


Answer = tuple[Decision, int | None]
"""A decision and when its report arrived."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Events that go through in one call."""

    policy: Policy
    now: int
    events: list[Event]
    retried: bool


OFF = Policy(immunity=0)
"""The rule with every option at its most harmless."""


@st.composite
def rules(draw: st.DrawFn, thresholds: list[int], windows: list[int]) -> Policy:
    """A rule, every other time with options."""
    rule = replace(
        OFF, block_threshold=draw(st.sampled_from(thresholds)), report_window=draw(st.sampled_from(windows))
    )
    if draw(st.booleans()):
        return rule
    return replace(
        rule,
        immunity=draw(st.sampled_from([0, 1, 5, 20])),
        review_threshold=draw(st.integers(0, rule.block_threshold - 1)),
        review_grace=draw(st.sampled_from([0, 0, 10, 40])),
        urgent_reasons=draw(st.sampled_from([frozenset(), frozenset({"a", "nudity"})])),
        max_blocks_per_hour=draw(st.sampled_from([0, 0, 1, 3])),
        shadow=draw(st.sampled_from([False, False, True])),
    )


@st.composite
def single_events(draw: st.DrawFn, windows: list[int]) -> list[Event]:
    """One event, at a time that is often on the border of a window."""
    image = IMAGES[draw(st.sampled_from([0, 0, 0, 0, 1, 2]))]
    if draw(st.integers(0, 9)) == 0:
        return [Tick(image)]
    if draw(st.integers(0, 7)) == 0:
        time = BASE + draw(st.integers(-2, 40))
        return [Review(image, time, time + 3, draw(st.sampled_from(Verdict)), draw(traces))]
    who = f"user-{draw(st.integers(0, 9))}"
    window = draw(st.sampled_from(windows))
    time = draw(st.integers(0, 3)) * window + draw(st.integers(-2, 2)) + draw(st.sampled_from([0, 0, 0, 5]))
    if draw(st.integers(0, 3)) == 0:
        return [retraction(who, time, image=image)]
    group = draw(st.sampled_from([None, None, "g1", "g2", "user-1"]))
    reason, trace = draw(st.sampled_from(REASONS)), draw(traces)
    return [report(who, time, image=image, reason=reason, group=group, delay=3, trace=trace)]


@st.composite
def crowds(draw: st.DrawFn) -> list[Event]:
    """So many at once that the case fills up to its bound."""
    image, time = IMAGES[0], draw(st.integers(0, 20))
    bound = 8 * draw(st.integers(1, 6)) + 64
    size, start = bound + draw(st.integers(-2, 1)), draw(st.sampled_from([0, 1000]))
    group = draw(st.sampled_from([None, "g1", "g3"]))
    names = [f"crowd-{n}" for n in range(start, start + size)]
    if group is None:
        return [retraction(name, time, image=image) for name in names]
    return [report(name, time, image=image, group=group, reason=LONG[n % 5]) for n, name in enumerate(names)]


@st.composite
def histories(draw: st.DrawFn) -> list[Batch]:
    windows = draw(st.lists(st.integers(1, 12), min_size=1, max_size=2))
    thresholds = draw(st.lists(st.sampled_from([1, 2, 3, 4, 5, 6, 6, 9]), min_size=1, max_size=2))
    event = single_events(windows)
    chunks = st.integers(0, 60).flatmap(lambda dice: crowds() if dice == 60 else event)
    batches, earlier = [], list[Event]()
    for _ in range(draw(st.integers(1, 6))):
        events = [one for chunk in draw(st.lists(chunks, min_size=1, max_size=12)) for one in chunk]
        if earlier:
            events += draw(st.lists(st.sampled_from(earlier), max_size=4))
        earlier += events
        rule = draw(rules(thresholds, windows))
        batches.append(Batch(rule, BASE + draw(st.integers(0, 100)), events, draw(st.booleans())))
    return batches


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
            (self.keys.reviews, {image: case.asked_at for image, case in cases.items() if case.asked_at}),
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
            if isinstance(event, Tick) and batch.policy.asks_reviews:
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


unblocked_cases = st.dictionaries(
    st.sampled_from(IMAGES),
    st.builds(
        Case,
        floor=st.integers(BASE - 5, BASE + 15),
        revision=st.integers(1, 70_000),
        decided_at=st.integers(BASE - 50, BASE + 150),
    ),
    max_size=2,
)


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


def test_random_histories_end_the_same(any_redis_url: str, runner: asyncio.Runner) -> None:
    assert partition_of(IMAGES[0].encode()) == partition_of(IMAGES[1].encode())
    client = connect(any_redis_url)
    both = Both(client)

    @settings(
        max_examples=HISTORIES,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(histories(), unblocked_cases)
    def same(batches: list[Batch], unblocked: dict[str, Case]) -> None:
        runner.run(both.check(batches, unblocked))

    try:
        same()
    finally:
        runner.run(client.aclose())


def batch(threshold: int, window: int, *reports: Report) -> Batch:
    return Batch(Policy(block_threshold=threshold, report_window=window), BASE, list(reports), retried=False)


ONE = IMAGES[0]
CORNERS = {
    "a round wider than a window that was shortened": [
        batch(9, 30, report("a", 0, image=ONE, reason="spam"), report("b", 20, image=ONE, reason="nudity")),
        batch(9, 5, report("c", 3, image=ONE), report("c", 8, image=ONE), report("a", -1, image=ONE)),
        batch(9, 5, report("c", 20, image=ONE), report("c", 21, image=ONE)),
        batch(2, 5, report("b", 22, image=ONE, reason="spam")),
    ],
    "full to the last record": [
        batch(1, 9, *(retraction(f"user-{n}", 1, image=ONE) for n in range(71))),
        batch(1, 9, retraction("user-71", 1, image=ONE)),
        batch(1, 9, retraction("user-71", 2, image=ONE)),
        batch(1, 9, retraction("user-72", 1, image=ONE)),
    ],
    "a table of reasons full to the last byte": [
        batch(9, 9, *(report(f"user-{n}", 1, image=ONE, reason=reason) for n, reason in enumerate(LONG))),
        batch(9, 9, report("user-8", 1, image=ONE, reason="a")),
        batch(6, 9, report("user-9", 1, image=ONE, reason=LONG[3])),
    ],
    "a first group for a reporter who had none": [
        batch(9, 9, report("a", 1, image=ONE), report("b", 2, image=ONE), retraction("c", 3, image=ONE)),
        batch(9, 9, report("b", 3, image=ONE, group="g"), report("c", 4, image=ONE, group="g")),
        batch(9, 9, report("d", 4, image=ONE), report("b", 4, image=ONE)),
    ],
    "a retraction that comes first, around the border of the round": [
        batch(9, 9, retraction("a", 50, image=ONE), report("a", 40, image=ONE), report("a", 45, image=ONE)),
        batch(9, 9, report("a", 50, image=ONE), report("b", 41, image=ONE), report("a", 39, image=ONE)),
    ],
}


@pytest.mark.parametrize("corner", CORNERS)
def test_corners_end_the_same(any_redis_url: str, runner: asyncio.Runner, corner: str) -> None:
    client = connect(any_redis_url)
    try:
        runner.run(Both(client).check(CORNERS[corner], {}))
    finally:
        runner.run(client.aclose())


class Lookalikes(Digests):
    """Digests that also occur across the border of two records, which chance gives once in an age."""

    def reporter(self, reporter_id: str) -> bytes:
        return {"first": b"AAAAAAAA", "second": b"BBBBBBBC"}.get(reporter_id, b"\0BBBBBBB")


@pytest.mark.parametrize("group", [None, "g"])
def test_a_digest_is_found_at_the_start_of_a_record_alone(
    any_redis_url: str, runner: asyncio.Runner, group: str | None
) -> None:
    client = connect(any_redis_url)
    both = Both(client)
    both.digests = Lookalikes(KEY)
    # The first record ends in a zero: the code of no reason, or the end of no group.
    history = batch(
        9,
        9,
        report("first", 1, image=ONE),
        report("second", 2, image=ONE, group=group),
        report("alike", 3, image=ONE),
        report("alike", 2, image=ONE),
        retraction("alike", 4, image=ONE),
        report("second", 5, image=ONE, group=group),
    )
    try:
        runner.run(both.check([history], {}))
    finally:
        runner.run(client.aclose())


def test_a_case_shows_what_was_packed(redis_url: str, runner: asyncio.Runner) -> None:
    """Written by hand: a change of the layout would make every stored case unreadable."""

    async def scenario() -> bytes | None:
        client = connect(redis_url)
        both = Both(client)
        rule = Policy(block_threshold=9, report_window=1000)
        await both.store(rule).apply(
            [
                report("user-1", 5, reason="spam"),
                report("user-2", 3, reason="nudity", group="g"),
                retraction("user-3", 9),
                report("user-4", 4, reason="other"),
                report("user-5", 4),
            ]
        )
        value = await both.value("img-42")
        await client.aclose()
        return value

    value = runner.run(scenario())
    digests = Digests(KEY)

    def time(offset: int) -> bytes:
        return (BASE + offset).to_bytes(6, "little")

    assert value == b"".join(
        [
            b"\x04" + bytes(6) + time(3) + time(5) + b"\x04\x00",
            b"\x0d\0spam\0nudity\0",
            digests.reporter("user-1") + time(5) + b"\x01" + bytes(8),
            digests.reporter("user-2") + time(3) + b"\x06" + digests.group("g"),
            digests.reporter("user-3") + time(9) + b"\xfe" + bytes(8),
            digests.reporter("user-4") + time(4) + b"\xff" + bytes(8),
            digests.reporter("user-5") + time(4) + b"\x00" + bytes(8),
        ]
    )
