"""Verdicts, reviews, the breaker and shadow mode, statement by statement, on the pure policy."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_moderation.domain.case import Case
from image_moderation.domain.decision import Action, Decision, State, Trigger
from image_moderation.domain.policy import Policy
from image_moderation.domain.report import Event, Outcome, Review, Tick, Verdict
from image_moderation.domain.rules import apply
from image_moderation.domain.rules.decisions import Step
from image_moderation.domain.rules.evaluation import BREAKER_RETRY
from tests.support.histories import BASE, IMAGE, report, retraction

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


def test_a_review_is_asked_again_only_once_all_it_rested_on_has_slid_out() -> None:
    policy = rule(block_threshold=9, review_threshold=2)
    history = [*reports(1, 50), report("user-9", 150), report("user-1", 150), report("user-8", 151)]
    taken = steps(policy, history)
    assert decided(taken) == [(Action.REQUEST_REVIEW, Trigger.REVIEW_THRESHOLD)] * 2
    assert [bool(step.decision) for step in taken] == [False, True, False, False, True]
    assert [step.case.floor - BASE for step in taken[2:]] == [49, 49, 50]
    retracted = [*reports(1, 50), retraction("user-1", 60), report("user-7", 70)]
    assert len(decided(steps(policy, retracted))) == 1


def test_a_review_is_asked_again_after_a_verdict_and_not_by_it() -> None:
    policy = rule(block_threshold=9, review_threshold=2, immunity=0)
    taken = steps(policy, [*reports(1, 2, 30), cleared(1), report("user-7", 31)])
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


GRACE = {"review_threshold": 2, "review_grace": 50}
BREAKER = {"max_blocks_per_hour": 1}


def waiting(policy: Policy, events: Sequence[Event]) -> Case:
    """The case of an image whose block waits for grace, or for room in the breaker."""
    case = steps(policy, events, blocks_left=0 if policy.max_blocks_per_hour else None)[-1].case
    assert case.withheld
    return case


@pytest.mark.parametrize("options", [GRACE, BREAKER, GRACE | BREAKER])
def test_a_threshold_once_reached_is_not_forgotten_while_the_block_waits(options: dict[str, int]) -> None:
    policy = rule(**options)
    case = waiting(policy, reports(1, 2, 3))
    for event, outcome in (
        (report("beyond", 102), Outcome.HELD),
        (report("user-0", 101), Outcome.DUPLICATE),
        (report("beyond", 102), Outcome.COUNTED),
        (report("beyond", 103), Outcome.HELD),
        (retraction("taken-back", 150), Outcome.RETRACTED),
        (report("taken-back", 150), Outcome.HELD),
        (report("old", -9), Outcome.LATE),
    ):
        step = apply(policy, case, event, BASE, 0)
        assert (step.outcome, bool(step.decision)) == (outcome, False)
        assert step.case.withheld
        case = step.case
    block = apply(policy, case, Tick(IMAGE), BASE + 50, 1).decision
    assert block is not None
    assert (block.action, block.distinct_reporters) == (Action.BLOCK, 4)
    assert (block.first_reported_at, block.last_reported_at) == (BASE + 2, BASE + 102)


def test_in_shadow_mode_the_window_goes_on_sliding() -> None:
    policy = rule(**GRACE, shadow=True)
    step = apply(policy, waiting(policy, reports(1, 2, 3)), report("later", 102), BASE)
    assert (step.outcome, step.case.score, step.case.withheld) == (Outcome.COUNTED, 3, True)
    later = apply(policy, step.case, report("later", 200), BASE)
    assert (later.case.score, later.case.withheld) == (1, False)


@pytest.mark.parametrize("options", [GRACE, BREAKER])
def test_a_retraction_that_takes_the_score_below_the_threshold_ends_the_wait(
    options: dict[str, int],
) -> None:
    policy = rule(**options)
    case = waiting(policy, reports(1, 2, 3))
    step = apply(policy, case, retraction("user-1", 4), BASE, 0)
    assert not step.case.withheld
    assert apply(policy, step.case, Tick(IMAGE), BASE + 50, 1).decision is None
    beyond = apply(policy, step.case, report("beyond", 103), BASE, 1)
    assert (beyond.outcome, beyond.case.score, beyond.case.state) == (Outcome.COUNTED, 2, State.OPEN)


def test_only_a_counted_report_or_a_deadline_blocks() -> None:
    """Not a duplicate, a retraction or a verdict, though a threshold was lowered or the breaker has room."""
    case = steps(rule(block_threshold=9), [*reports(1, 2, 3, 4)])[-1].case
    asking = rule(review_threshold=2, immunity=0)
    for event in (report("user-3", 5), retraction("user-3", 5), cleared(1), Tick(IMAGE)):
        assert apply(asking, case, event, BASE).decision is None
    assert decided([apply(asking, case, report("another", 5), BASE)]) == [(Action.BLOCK, Trigger.THRESHOLD)]
    withheld = waiting(rule(**BREAKER), reports(1, 2, 3, 4))
    for event in (report("user-3", 5), retraction("user-3", 5), cleared(1)):
        assert apply(rule(**BREAKER, immunity=0), withheld, event, BASE, 1).decision is None
    assert apply(rule(**BREAKER), withheld, Tick(IMAGE), BASE, 1).decision is not None


def test_a_duplicate_with_an_urgent_reason_asks_and_does_not_block() -> None:
    policy = rule(urgent_reasons=frozenset({"csam"}))
    case = steps(rule(block_threshold=9), reports(1, 2, 3))[-1].case
    step = apply(policy, case, report("user-1", 4, reason="csam"), BASE)
    assert step.outcome is Outcome.DUPLICATE
    assert decided([step]) == [(Action.REQUEST_REVIEW, Trigger.URGENT_REASON)]


def test_beyond_the_breaker_a_block_is_one_review_and_comes_by_itself_once_there_is_room() -> None:
    policy = rule(**BREAKER)
    taken = steps(policy, reports(1, 2, 3, 4), blocks_left=0)
    assert decided(taken) == [(Action.REQUEST_REVIEW, Trigger.BREAKER)]
    assert taken[-1].case.state is State.OPEN
    assert [step.due for step in taken[2:]] == [BASE + BREAKER_RETRY] * 2
    again = apply(policy, taken[-1].case, Tick(IMAGE), BASE + BREAKER_RETRY, 0)
    assert (again.decision, again.due) == (None, BASE + 2 * BREAKER_RETRY)
    for event in (report("user-9", 5), Tick(IMAGE)):
        step = apply(policy, taken[-1].case, event, BASE, 1)
        assert decided([step]) == [(Action.BLOCK, Trigger.THRESHOLD)]


def test_a_breaker_that_withholds_after_another_request_says_so_once() -> None:
    policy = rule(**BREAKER, review_threshold=2)
    taken = steps(policy, reports(1, 2, 3, 4), blocks_left=0)
    assert decided(taken) == [
        (Action.REQUEST_REVIEW, Trigger.REVIEW_THRESHOLD),
        (Action.REQUEST_REVIEW, Trigger.BREAKER),
    ]
    review = taken[-1].case.review
    assert review is not None
    assert (review.at, review.rests_on, review.by_breaker) == (BASE, BASE + 3, True)
    assert [step.decision and step.decision.revision for step in taken] == [None, 1, 2, None]


def test_urgent_reasons_with_grace_wait_only_where_a_review_was_asked_for() -> None:
    policy = rule(urgent_reasons=frozenset({"csam"}), review_grace=50)
    assert decided(steps(policy, reports(1, 2, 3))) == [(Action.BLOCK, Trigger.THRESHOLD)]
    urgent = [*reports(1, 2), report("c", 3, reason="csam")]
    for history in (urgent, list(reversed(urgent))):
        taken = steps(policy, history)
        assert decided(taken) == [(Action.REQUEST_REVIEW, Trigger.URGENT_REASON)]
        assert taken[-1].due == BASE + 50


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
    assert (end.state, end.revision, end.review) == (State.OPEN, 0, None)
    live = apply(rule(), end, report("user-9", 5), BASE)
    assert decided([live]) == [(Action.BLOCK, Trigger.THRESHOLD)]


def test_shadow_mode_would_block_again_only_after_a_verdict() -> None:
    policy = rule(shadow=True)
    taken = steps(policy, [*reports(1, 2, 3), *reports(200, 201, 202, start=5)])
    assert decided(taken) == [(Action.BLOCK, Trigger.THRESHOLD)]
    opened = apply(policy, taken[-1].case, cleared(203), BASE)
    assert (opened.case.shadow_blocked, opened.decision) == (False, None)


def test_upheld_in_shadow_mode_is_applied_by_its_repetition_in_live_mode() -> None:
    shadow = rule(shadow=True)
    first, again = steps(shadow, [upheld(10), upheld(10)])
    assert (decided([first, again]), again.outcome) == (
        [(Action.BLOCK, Trigger.MODERATOR)],
        Outcome.DUPLICATE,
    )
    assert again.case.state is State.OPEN
    assert apply(rule(), again.case, cleared(10), BASE).outcome is Outcome.STALE
    live = apply(rule(), again.case, upheld(10), BASE)
    assert decided([live]) == [(Action.BLOCK, Trigger.MODERATOR)]
    assert live.outcome is Outcome.UPHELD
    assert apply(rule(), live.case, upheld(10), BASE).outcome is Outcome.DUPLICATE


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
