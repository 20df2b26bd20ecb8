"""The way of a batch: what is acked when, and what one bad message does to the others."""

import asyncio
import json
from collections.abc import Mapping, Sequence

import pytest
import structlog

from image_moderation.domain.decision import Action, Applied, Decision, OutboxEntry, State, Trigger
from image_moderation.domain.errors import BrokerUnavailable, StoreUnavailable
from image_moderation.domain.message import DeadLetter, RawMessage
from image_moderation.domain.policy import Policy
from image_moderation.domain.report import Event, Outcome, Report, Review, Tick, Verdict
from image_moderation.events.render import review_event
from image_moderation.intake import intake as module
from image_moderation.intake.intake import Intake
from image_moderation.store.memory_store import MemoryStore

NOW = 1_795_500_000_000
CHANNEL = "image.reported"


def message(number: int, *, image: str = "img", deliveries: int = 1, body: bytes | None = None) -> RawMessage:
    event = {
        "specversion": "1.0",
        "id": f"e{number}",
        "source": "/gallery",
        "type": "image.reported.v1",
        "data": {"image_id": image, "reporter_id": f"user-{number}"},
    }
    return RawMessage(CHANNEL, f"{NOW}-{number}", body or json.dumps(event).encode(), NOW, deliveries)


def review(number: int, verdict: Verdict, *, image: str = "img", body: bytes | None = None) -> RawMessage:
    event = review_event(
        event_id=f"v{number}", source="/desk", time=NOW + number, image_id=image, verdict=verdict
    )
    return RawMessage("image.reviewed", f"{NOW}-{number}", body or event, NOW + number)


class World:
    """Every port of the intake, with one log of what was called in which order."""

    def __init__(self, *, threshold: int = 3, max_deliveries: int = 10) -> None:
        self.log: list[tuple[str, object]] = []
        self.acked: list[str] = []
        self.dead_letters: list[DeadLetter] = []
        self.published: list[OutboxEntry] = []
        self.outcomes: dict[str, int] = {}
        self.judged: dict[str, int] = {}
        self.decisions: list[tuple[str, str, str]] = []
        self.ages: list[float] = []
        self.shadow: list[Decision] = []
        """The decisions that shadow mode would have taken, as the store returns them."""
        self.fail: dict[str, list[Exception]] = {}
        self.store = MemoryStore(policy=Policy(threshold), clock=lambda: NOW)
        self.intake = Intake(
            source=self,
            store=self,
            outbox=self,
            metrics=self,
            clock=lambda: NOW,
            max_event_bytes=65_536,
            max_deliveries=max_deliveries,
            pause=self._pause,
        )

    async def _pause(self, seconds: float) -> None:
        self.log.append(("pause", seconds))
        await asyncio.sleep(0)

    def _call(self, name: str, detail: object) -> None:
        self.log.append((name, detail))
        if self.fail.get(name):
            raise self.fail[name].pop(0)

    async def ack(self, messages: Sequence[RawMessage]) -> None:
        self._call("ack", len(messages))
        self.acked += [one.position for one in messages]

    async def park(self, dead_letters: Sequence[DeadLetter]) -> None:
        self._call("park", len(dead_letters))
        self.dead_letters += dead_letters

    async def apply(self, events: Sequence[Event], *, retried: bool) -> Applied:
        applied = await self.store.apply(events, retried=retried)
        self._call("apply", retried)  # a failure loses the reply of what was applied
        return applied._replace(shadow=self.shadow)

    async def publish(self, entries: Sequence[OutboxEntry]) -> None:
        self._call("publish", len(entries))
        self.published += entries

    def reports(self, outcomes: Mapping[str, int]) -> None:
        for outcome, count in outcomes.items():
            self.outcomes[outcome] = self.outcomes.get(outcome, 0) + count

    def verdicts(self, outcomes: Mapping[str, int]) -> None:
        for outcome, count in outcomes.items():
            self.judged[outcome] = self.judged.get(outcome, 0) + count

    def decision(self, action: str, trigger: str, mode: str) -> None:
        self.decisions.append((action, trigger, mode))

    def dead_letter(self, reason: str) -> None:
        self.outcomes[reason] = self.outcomes.get(reason, 0) + 1

    def batch(self, size: int) -> None:
        self.log.append(("batch", size))

    def report_age(self, seconds: float) -> None:
        self.ages.append(seconds)


@pytest.mark.parametrize("place", [0, 2, 4])
async def test_a_malformed_message_is_parked_and_the_rest_goes_on(place: int) -> None:
    world = World(threshold=4)
    batch = [message(n, body=b"oops" if n == place else None) for n in range(5)]
    await world.intake.process(batch)
    assert [(dead_letter.message, dead_letter.reason) for dead_letter in world.dead_letters] == [
        (batch[place], "not_json")
    ]
    assert world.outcomes == {"counted": 4, "not_json": 1}
    assert world.acked == [one.position for one in batch]
    assert [entry.decision.image_id for entry in world.published] == ["img"]


async def test_nothing_is_acked_before_its_dead_letter_and_its_effect_are_durable() -> None:
    world = World()
    await world.intake.process([message(0), message(1, body=b"oops"), message(2), message(3)])
    assert [name for name, _ in world.log] == ["park", "apply", "publish", "ack", "batch"]


async def test_malformed_messages_alone_are_acked_once_parked() -> None:
    world = World()
    await world.intake.process([message(n, body=b"oops") for n in range(3)])
    assert [name for name, _ in world.log] == ["park", "ack", "batch"]
    assert len(world.acked) == 3


async def test_a_lost_reply_of_the_store_repeats_as_a_retry_and_loses_no_decision() -> None:
    world = World()
    world.fail["apply"] = [StoreUnavailable("reset"), StoreUnavailable("still")]
    await world.intake.process([message(n) for n in range(3)])
    assert [retried for name, retried in world.log if name == "apply"] == [False, True, True]
    assert [entry.decision.revision for entry in world.published] == [1]
    pauses = [seconds for name, seconds in world.log if name == "pause"]
    assert pauses == [0.05, 0.1]


@pytest.mark.parametrize("call", ["park", "ack", "publish"])
async def test_a_broker_that_is_away_is_waited_for(call: str) -> None:
    world = World()
    world.fail[call] = [BrokerUnavailable("away")] * 20
    await world.intake.process([message(n, body=b"oops" if n == 3 else None) for n in range(4)])
    assert len([name for name, _ in world.log if name == call]) == 21
    assert max(seconds for name, seconds in world.log if name == "pause") == module.LONGEST_PAUSE  # type: ignore[type-var]
    assert (len(world.acked), len(world.dead_letters), len(world.published)) == (4, 1, 1)


async def test_cancelling_while_the_store_is_away_leaves_the_batch_unacked() -> None:
    world = World()
    world.fail["apply"] = [StoreUnavailable("away")] * 1_000_000
    task = asyncio.create_task(world.intake.process([message(0)]))
    for _ in range(50):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert world.acked == []


async def test_a_message_delivered_too_often_is_parked_whole() -> None:
    world = World(max_deliveries=5)
    await world.intake.process([message(0, deliveries=6), message(1, deliveries=5)])
    assert [dead_letter.reason for dead_letter in world.dead_letters] == ["too_many_deliveries"]
    assert world.dead_letters[0].message == message(0, deliveries=6)
    assert world.outcomes["counted"] == 1


async def test_messages_delivered_often_go_one_by_one_and_as_retries() -> None:
    world = World()
    await world.intake.process([message(n, deliveries=4) for n in range(3)])
    assert [size for name, size in world.log if name == "batch"] == [1, 1, 1]
    assert {retried for name, retried in world.log if name == "apply"} == {True}


async def test_a_parser_that_fails_costs_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    from image_moderation.events.parse import parse

    def broken(raw: RawMessage, now: int, max_bytes: int) -> Report | Review:
        if raw.position.endswith("-1"):
            raise RecursionError("secret-value")
        return parse(raw, now, max_bytes)

    monkeypatch.setattr(module, "parse", broken)
    world = World()
    await world.intake.process([message(n) for n in range(3)])
    assert [(dead_letter.reason, dead_letter.error) for dead_letter in world.dead_letters] == [
        ("invalid", "the parser failed: RecursionError")
    ]
    assert world.outcomes["counted"] == 2


async def test_verdicts_go_the_same_way_and_are_counted_apart() -> None:
    world = World()
    await world.intake.process([message(n) for n in range(3)])
    batch = [
        review(1, Verdict.CLEARED),
        review(1, Verdict.CLEARED),
        review(0, Verdict.UPHELD),
        review(2, Verdict.UPHELD, image="other"),
        review(3, Verdict.UPHELD, body=b"oops"),
    ]
    world.log.clear()
    await world.intake.process(batch)
    assert [name for name, _ in world.log] == ["park", "apply", "publish", "ack", "batch"]
    assert world.acked[3:] == [one.position for one in batch]
    assert world.outcomes == {"counted": 3, "not_json": 1}
    assert world.judged == {"cleared": 1, "duplicate": 1, "stale": 1, "upheld": 1}
    assert len(world.ages) == 1, "of reports alone"
    decisions = [entry.decision for entry in world.published]
    assert [(one.image_id, one.action, one.trigger) for one in decisions] == [
        ("img", Action.BLOCK, Trigger.THRESHOLD),
        ("img", Action.UNBLOCK, Trigger.MODERATOR),
        ("other", Action.BLOCK, Trigger.MODERATOR),
    ]


async def test_a_verdict_on_the_channel_of_reports_is_parked_and_the_reverse() -> None:
    world = World()
    await world.intake.process([message(0), review(1, Verdict.UPHELD)._replace(channel=CHANNEL)])
    await world.intake.process([message(2)._replace(channel="image.reviewed")])
    assert [dead_letter.reason for dead_letter in world.dead_letters] == ["unknown_type", "unknown_type"]
    assert (world.outcomes, world.judged) == ({"counted": 1, "unknown_type": 2}, {})


async def test_what_shadow_mode_would_have_decided_is_counted_and_logged_and_not_published() -> None:
    world = World()
    world.shadow = [
        Decision(
            image_id="img",
            action=Action.BLOCK,
            revision=1,
            decided_at=NOW,
            state=State.BLOCKED,
            trigger=Trigger.THRESHOLD,
            automated=True,
            distinct_reporters=3,
            threshold=3,
            reasons={},
            first_reported_at=NOW,
            last_reported_at=NOW,
            policy="3f9a1c77",
        )
    ]
    with structlog.testing.capture_logs() as lines:
        await world.intake.process([message(0)])
    assert world.decisions == [("block", "threshold", "shadow")]
    assert [line["image_id"] for line in lines if line["event"] == "shadow_decision"] == ["img"]
    assert world.published == []
    assert world.outcomes == {Outcome.COUNTED: 1}


async def test_ticks_are_applied_and_counted_as_nothing() -> None:
    world = World()
    world.fail["apply"] = [StoreUnavailable("reset")]
    await world.intake.tick([Tick("img"), Tick("other")])
    assert [(name, detail) for name, detail in world.log if name != "pause"] == [
        ("apply", False),
        ("apply", True),
    ]
    assert (world.outcomes, world.judged, world.acked) == ({}, {}, [])


@pytest.mark.parametrize("step", ["park", "apply", "ack", "publish"])
async def test_a_step_that_waits_for_long_is_told_until_it_succeeds(step: str) -> None:
    """The server may answer all that is asked otherwise, so nobody else would notice."""
    world = World(threshold=1)
    told: list[str] = []
    world.fail = {step: [StoreUnavailable("no permission")] * (module.FAILING_FROM + 1)}
    pause = world.intake._pause

    async def look(seconds: float) -> None:
        told.append(world.intake.failing)
        await pause(seconds)

    world.intake._pause = look
    await world.intake.process([message(1), message(2, body=b"no event")])
    assert told == [""] * (module.FAILING_FROM - 1) + [f"{step} waits: no permission"] * 2
    assert world.intake.failing == ""
