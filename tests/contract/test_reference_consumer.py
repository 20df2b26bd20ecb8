"""The rule of a consumer, as contracts/clients/ has it: right under any order, repetition and delay.

The Python module runs as it stands there, on a database in memory.
"""

import asyncio
import contextlib
import io
import os
import runpy
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
from tests.support.contract_programs import CLIENTS
from tests.support.histories import BASE, report

with mock.patch.dict(os.environ, {"SITE_DATABASE": ":memory:"}):
    MODULE = runpy.run_path(str(CLIENTS / "python" / "decisions.py"))
ACTS = {Action.BLOCK: "block", Action.UNBLOCK: "unblock"}
EPOCH = 1_795_428_000_000


def consume(bodies: Sequence[bytes]) -> list[list[str]]:
    """Each act of the consumer and its image, in order; checks that its record ends the same."""
    database = MODULE["database"]
    database.execute("DELETE FROM moderation")
    with contextlib.redirect_stdout(io.StringIO()) as out:
        for body in bodies:
            MODULE["apply"](body)
    record = dict(database.execute("SELECT image_id, blocked FROM moderation"))
    acts = [line.split(" ", 1) for line in out.getvalue().splitlines()]
    assert record == {image: act == "block" for act, image in acts}
    return acts


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
@given(histories(), st.randoms(use_true_random=False))
def test_decisions_in_any_order_and_any_number_end_with_the_latest(
    decisions: list[Decision], chance: Any
) -> None:
    sent = decisions + [chance.choice(decisions) for _ in range(chance.randrange(8))]
    chance.shuffle(sent)
    # Requests for review are on a channel of their own; one that went astray must change nothing either.
    bodies = [decision_message(one)[1] for one in sent]
    final = {
        one.image_id: ACTS[one.action]
        for one in sorted(decisions, key=lambda one: one.decided_at)
        if one.action in ACTS
    }
    applied = consume(bodies)
    assert {image: act for act, image in applied} == final
    again = consume(bodies + bodies)
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
@given(st.lists(some_events, max_size=40), st.randoms(use_true_random=False))
def test_a_consumer_ends_with_the_state_of_the_store(events: list[Event], chance: Any) -> None:
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
    applied = consume([decision_message(one)[1] for one in sent if one.action in ACTS])
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
    bodies = [decision_message(one)[1] for one in decisions for _ in range(2)]
    assert consume(bodies) == [["block", "img"], ["unblock", "img"], ["block", "img"]]
