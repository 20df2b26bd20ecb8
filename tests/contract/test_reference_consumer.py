"""The rule of a consumer, as contracts/README.md has it: right under any order, repetition and delay.

The Python program of the README runs as it stands there, on a broker that gives it what a test wants.
"""

import asyncio
import contextlib
import io
import os
import sys
from collections.abc import Sequence
from typing import Any
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from image_moderation.domain.decision import Action, Decision, State, Trigger
from image_moderation.domain.policy import Policy
from image_moderation.domain.report import Event, Review, Verdict
from image_moderation.events.render import decision_message
from image_moderation.store.memory_store import MemoryStore
from tests.support.contract_programs import program
from tests.support.histories import BASE, report

PROGRAM = compile(program("A consumer", "python"), "README.md", "exec")
ACTS = {Action.BLOCK: "block", Action.UNBLOCK: "unblock"}
EPOCH = 1_795_428_000_000


class Ended(Exception):
    """The broker has no more."""


class Broker:
    """In place of redis-py: gives its entries in the given order, in reads of at most `size` entries."""

    def __init__(self, entries: Sequence[tuple[str, bytes]], size: int) -> None:
        self._entries = list(entries)
        self._size = size

    def from_url(self, *_: Any, **__: Any) -> "Broker":
        return self

    def xread(self, positions: dict[str, str], **_: Any) -> list[Any]:
        assert set(positions) == {"image.blocked", "image.unblocked"}
        if not self._entries:
            raise Ended
        given, self._entries = self._entries[: self._size], self._entries[self._size :]
        return [
            (name, [(f"{number}-0", {"__data__": body.decode()}) for number, body in enumerate(bodies)])
            for name in positions
            if (bodies := [body for channel, body in given if channel == name])
        ]


def consume(entries: Sequence[tuple[str, bytes]], size: int) -> list[list[str]]:
    """Each act of the consumer and its image, in order."""
    broker, out = Broker(entries, size), io.StringIO()
    modules = {"redis": mock.Mock(Redis=broker)}
    with (
        mock.patch.dict(sys.modules, modules),
        mock.patch.dict(os.environ, {"REDIS_URL": "redis://nobody"}),
        contextlib.redirect_stdout(out),
        contextlib.suppress(Ended),
    ):
        exec(PROGRAM, {})
    return [line.split(" ", 1) for line in out.getvalue().splitlines()]


@st.composite
def histories(draw: st.DrawFn) -> list[Decision]:
    """The decisions on a few images: each image's `decided_at` grows, and its case may be forgotten."""
    decisions: list[Decision] = []
    for image in draw(st.lists(st.sampled_from(["img-1", "写真 2", "img-3"]), min_size=1, unique=True)):
        revision, time, state = 0, EPOCH + draw(st.integers(0, 2_000)), State.OPEN
        for action in draw(st.lists(st.sampled_from(Action), min_size=1, max_size=7)):
            state = {Action.BLOCK: State.BLOCKED, Action.UNBLOCK: State.OPEN}.get(action, state)
            revision = 1 if draw(st.integers(0, 5)) == 0 else revision + 1
            time += draw(st.sampled_from([1, 2, 999, 1_000, 86_400_000]))
            decisions.append(
                Decision(
                    image_id=image,
                    action=action,
                    revision=revision,
                    decided_at=time,
                    state=state,
                    trigger=Trigger.MODERATOR,
                    automated=False,
                    distinct_reporters=0,
                    threshold=5,
                    reasons={},
                    first_reported_at=None,
                    last_reported_at=None,
                    policy="3f9a1c77",
                )
            )
    return decisions


@settings(deadline=None, max_examples=150)
@given(histories(), st.randoms(use_true_random=False), st.integers(1, 9))
def test_decisions_in_any_order_and_any_number_end_with_the_latest(
    decisions: list[Decision], chance: Any, size: int
) -> None:
    sent = decisions + [chance.choice(decisions) for _ in range(chance.randrange(8))]
    chance.shuffle(sent)
    # Requests for review are on a channel of their own; one that went astray must change nothing either.
    entries = [decision_message(one)[:2] for one in sent]
    entries = [
        (channel if channel != "image.review-requested" else "image.blocked", body)
        for channel, body in entries
    ]
    final = {
        one.image_id: ACTS[one.action]
        for one in sorted(decisions, key=lambda one: one.decided_at)
        if one.action in ACTS
    }
    applied = consume(entries, size)
    assert {image: act for act, image in applied} == final
    again = consume(entries + entries, size)
    assert {image: act for act, image in again} == final


some_events = st.one_of(
    st.builds(
        lambda image, who, time: report(f"user-{who}", time, image=image),
        st.sampled_from(["img-1", "img-2"]),
        st.integers(0, 5),
        st.integers(1, 60),
    ),
    st.builds(
        lambda image, time, verdict: Review(image, BASE + time, BASE + time, verdict),
        st.sampled_from(["img-1", "img-2"]),
        st.integers(1, 60),
        st.sampled_from(Verdict),
    ),
)


@settings(deadline=None, max_examples=150)
@given(st.lists(some_events, max_size=40), st.randoms(use_true_random=False), st.integers(1, 9))
def test_a_consumer_ends_with_the_state_of_the_store(events: list[Event], chance: Any, size: int) -> None:
    async def decide() -> tuple[list[Decision], dict[str, State]]:
        clock = iter(range(BASE, BASE + 1_000))
        rule = Policy(block_threshold=2, report_window=30, immunity=3, review_threshold=1)
        store = MemoryStore(policy=rule, clock=lambda: next(clock))
        applied = [await store.apply([event]) for event in events]
        images = {event.image_id for event in events}
        states = {image: (await store.case(image))[0].state for image in images}
        return [entry.decision for one in applied for entry in one.entries], states

    decisions, states = asyncio.run(decide())
    sent = decisions * 2
    chance.shuffle(sent)
    applied = consume([decision_message(one)[:2] for one in sent if one.action in ACTS], size)
    last = {image: act for act, image in applied}
    assert {image for image, state in states.items() if state is State.BLOCKED} == {
        image for image, act in last.items() if act == "block"
    }


def test_in_order_every_change_is_applied_once() -> None:
    base = {"image_id": "img", "revision": 1, "trigger": Trigger.MODERATOR, "automated": False}
    facts = {
        "distinct_reporters": 0,
        "threshold": 5,
        "reasons": {},
        "first_reported_at": None,
        "last_reported_at": None,
        "policy": "3f9a1c77",
    }
    decisions = [
        Decision(**base, **facts, action=action, decided_at=EPOCH + n, state=State.OPEN)  # type: ignore[arg-type]
        for n, action in enumerate((Action.BLOCK, Action.UNBLOCK, Action.BLOCK))
    ]
    entries = [decision_message(one)[:2] for one in decisions for _ in range(2)]
    assert consume(entries, 1) == [["block", "img"], ["unblock", "img"], ["block", "img"]]
