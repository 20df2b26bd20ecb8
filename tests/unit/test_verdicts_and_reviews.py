"""Verdicts, reviews, the breaker and shadow mode, statement by statement, on the pure policy."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from image_moderation.domain.case import Case
from image_moderation.domain.decision import Action, Decision, State, Trigger
from image_moderation.domain.policy import Policy
from image_moderation.domain.report import Event, Outcome, Review, Tick, Verdict
from image_moderation.domain.rules import apply
from image_moderation.domain.rules.decisions import Step
from tests.support.histories import BASE, IMAGE, report

IMMUNITY = 1_000


def rule(**options: object) -> Policy:
    return Policy(**{"block_threshold": 3, "report_window": 100, "immunity": IMMUNITY, **options})  # type: ignore[arg-type]


def upheld(time: int) -> Review:
    return Review(IMAGE, BASE + time, BASE + time, Verdict.UPHELD)


def cleared(time: int) -> Review:
    return Review(IMAGE, BASE + time, BASE + time, Verdict.CLEARED)


def reports(*times: int, start: int = 0) -> list[Event]:
    return [report(f"user-{start + n}", time) for n, time in enumerate(times)]


def steps(
    policy: Policy, events: Sequence[Event], *, now: int = BASE, blocks_left: int | None = None
) -> list[Step]:
    taken, case = [], Case()
    for event in events:
        taken.append(apply(policy, case, event, now, blocks_left))
        case = taken[-1].case
    return taken


def decided(taken: Sequence[Step]) -> list[tuple[Action, Trigger]]:
    return [(step.decision.action, step.decision.trigger) for step in taken if step.decision is not None]


def test_cleared_unblocks_and_makes_immune() -> None:
    taken = steps(rule(), [*reports(1, 2, 3), cleared(10), *reports(11, 12, 13 + IMMUNITY, start=5)])
    assert decided(taken) == [(Action.BLOCK, Trigger.THRESHOLD), (Action.UNBLOCK, Trigger.MODERATOR)]
    assert taken[3].outcome is Outcome.CLEARED
    assert [step.outcome for step in taken[4:]] == [Outcome.LATE, Outcome.LATE, Outcome.COUNTED]
    unblocked = taken[3].decision
    assert unblocked is not None
    assert (unblocked.revision, unblocked.state, unblocked.automated) == (2, State.OPEN, False)


def test_upheld_blocks_an_image_that_nobody_reported() -> None:
    (step,) = steps(rule(), [upheld(5)])
    assert decided([step]) == [(Action.BLOCK, Trigger.MODERATOR)]
    assert step.decision is not None
    assert (step.decision.distinct_reporters, step.decision.first_reported_at) == (0, None)
    assert not step.decision.automated
    assert step.case.state is State.BLOCKED


def test_upheld_on_a_blocked_image_decides_nothing_and_is_remembered() -> None:
    taken = steps(rule(), [*reports(1, 2, 3), upheld(10), cleared(9)])
    assert len(decided(taken)) == 1
    assert [step.outcome for step in taken[3:]] == [Outcome.UPHELD, Outcome.STALE]
    assert taken[-1].case.state is State.BLOCKED


def test_a_verdict_that_comes_before_the_block_holds() -> None:
    taken = steps(rule(), [cleared(10), *reports(1, 2, 3)])
    assert [step.outcome for step in taken] == [Outcome.CLEARED, Outcome.LATE, Outcome.LATE, Outcome.LATE]
    assert decided(taken) == []


def test_a_repeated_verdict_changes_nothing() -> None:
    for review in (upheld(10), cleared(10)):
        first, again = steps(rule(), [review, review])
        assert again.outcome is Outcome.DUPLICATE
        assert (again.case, again.decision) == (first.case, None)


def test_at_equal_time_upheld_wins_in_either_order() -> None:
    for order in ([upheld(10), cleared(10)], [cleared(10), upheld(10)]):
        assert steps(rule(), order)[-1].case.state is State.BLOCKED


@given(st.data())
def test_d_verdicts_in_any_order_end_the_same(data: st.DataObject) -> None:
    """Each delayed by at most the immunity: all arrive before the first one's immunity is over."""
    history = reports(*data.draw(st.lists(st.integers(1, 90), max_size=6)))
    times = data.draw(st.lists(st.integers(1, IMMUNITY), min_size=1, max_size=5, unique=True))
    verdicts: list[Event] = [data.draw(st.sampled_from([upheld, cleared]))(time) for time in times]
    other = data.draw(st.permutations(verdicts))
    split = data.draw(st.integers(0, len(history)))
    late = [*history[:split], *other, *history[split:]]
    ends = [steps(rule(), order)[-1].case for order in ([*history, *verdicts], late)]
    assert ends[0].state is ends[1].state
    assert (ends[0].verdict, ends[0].verdict_time) == (ends[1].verdict, ends[1].verdict_time)


def test_a_review_is_asked_once_a_round() -> None:
    policy = rule(review_threshold=2)
    taken = steps(policy, [*reports(1, 2), report("user-1", 3), *reports(150, 151, start=5)])
    assert decided(taken) == [(Action.REQUEST_REVIEW, Trigger.REVIEW_THRESHOLD)] * 2
    assert [bool(step.decision) for step in taken] == [False, True, False, False, True]


def test_an_urgent_reason_asks_at_its_first_report_and_blocks_no_faster() -> None:
    policy = rule(urgent_reasons=frozenset({"csam"}))
    history = [report("a", 1, reason="csam"), report("b", 2, reason="csam"), report("c", 3)]
    assert decided(steps(policy, history)) == [
        (Action.REQUEST_REVIEW, Trigger.URGENT_REASON),
        (Action.BLOCK, Trigger.THRESHOLD),
    ]


def test_with_grace_a_block_waits_and_comes_without_a_further_report() -> None:
    policy = rule(review_threshold=2, review_grace=50)
    taken = steps(policy, reports(1, 2, 3))
    assert decided(taken) == [(Action.REQUEST_REVIEW, Trigger.REVIEW_THRESHOLD)]
    due = taken[-1].due
    assert due == BASE + 50
    case = taken[-1].case
    early = apply(policy, case, Tick(IMAGE), due - 1)
    assert (early.decision, early.due) == (None, due)
    block = apply(policy, case, Tick(IMAGE), due)
    assert decided([block]) == [(Action.BLOCK, Trigger.THRESHOLD)]
    assert apply(policy, block.case, Tick(IMAGE), due + 1).decision is None


def test_a_verdict_during_the_grace_ends_the_wait() -> None:
    policy = rule(review_threshold=2, review_grace=50)
    case = steps(policy, [*reports(1, 2, 3), cleared(4)])[-1].case
    assert apply(policy, case, Tick(IMAGE), BASE + 60).decision is None


def test_beyond_the_breaker_a_block_is_one_review_and_comes_once_there_is_room() -> None:
    policy = rule(max_blocks_per_hour=1)
    taken = steps(policy, reports(1, 2, 3, 4), blocks_left=0)
    assert decided(taken) == [(Action.REQUEST_REVIEW, Trigger.BREAKER)]
    assert taken[-1].case.state is State.OPEN
    step = apply(policy, taken[-1].case, report("user-9", 5), BASE, 1)
    assert decided([step]) == [(Action.BLOCK, Trigger.THRESHOLD)]


def test_a_withheld_case_is_bounded() -> None:
    policy = rule(max_blocks_per_hour=1)
    taken = steps(policy, reports(*range(1, 100)), blocks_left=0)
    assert len(taken[-1].case.records) == policy.most_records
    assert taken[-1].outcome is Outcome.HELD


def test_shadow_mode_says_once_what_it_would_have_done() -> None:
    policy = rule(shadow=True, review_threshold=2)
    taken = steps(policy, reports(1, 2, 3, 4))
    assert decided(taken) == [
        (Action.REQUEST_REVIEW, Trigger.REVIEW_THRESHOLD),
        (Action.BLOCK, Trigger.THRESHOLD),
    ]
    assert all(step.shadow for step in taken if step.decision)
    end = taken[-1].case
    assert (end.state, end.revision, end.asked_at) == (State.OPEN, 0, 0)
    live = apply(rule(), end, report("user-9", 5), BASE)
    assert decided([live]) == [(Action.BLOCK, Trigger.THRESHOLD)]


def test_shadow_mode_takes_back_what_was_published_live() -> None:
    case = steps(rule(), reports(1, 2, 3))[-1].case
    step = apply(rule(shadow=True), case, cleared(10), BASE)
    assert decided([step]) == [(Action.UNBLOCK, Trigger.MODERATOR)]
    assert not step.shadow


def test_the_hash_of_the_default_rule_never_changes() -> None:
    assert Policy().hash == "0f09c950"
    assert len({Policy().hash, Policy(shadow=True).hash, Policy(immunity=1).hash}) == 3


def test_decisions_of_one_image_are_numbered_and_timed_in_order() -> None:
    taken = steps(rule(review_threshold=1), [*reports(1, 2, 3), cleared(4), upheld(5)])
    made: list[Decision] = [step.decision for step in taken if step.decision is not None]
    assert [one.revision for one in made] == [1, 2, 3, 4]
    assert [one.decided_at for one in made] == [BASE, BASE + 1, BASE + 2, BASE + 3]
