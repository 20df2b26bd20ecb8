"""The policy, statement by statement: one plain example or more for each."""

from dataclasses import replace

import pytest

from image_moderation.domain.case import Case, Record
from image_moderation.domain.decision import Action, Decision, State, Trigger
from image_moderation.domain.policy import Policy
from image_moderation.domain.report import Outcome, Report
from image_moderation.domain.rules import apply
from tests.support.histories import BASE, IMAGE, WINDOW, assert_closed, policy, report, retraction, run

COUNTED, DUPLICATE, LATE = Outcome.COUNTED, Outcome.DUPLICATE, Outcome.LATE


# Statement 1 and 2: time, and the ledger -----------------------------------------------------------


def test_a_far_past_counts() -> None:
    result = run(policy(2), [Report(IMAGE, "user-1", 1, BASE), Report(IMAGE, "user-2", 2, BASE)])
    assert result.outcomes == [COUNTED, COUNTED]
    assert list(result.decisions) == [1]


@pytest.mark.parametrize(
    ("history", "outcomes", "stands"),
    [
        ([report("a", 5), report("a", 5)], "counted duplicate", True),
        ([report("a", 5), report("a", 7)], "counted duplicate", True),
        ([report("a", 7), report("a", 5)], "counted duplicate", True),
        ([report("a", 5), retraction("a", 7)], "counted retracted", False),
        ([report("a", 5), retraction("a", 5)], "counted retracted", False),
        ([report("a", 5), retraction("a", 4)], "counted stale", True),
        ([retraction("a", 5), report("a", 5)], "retracted retracted_before", False),
        ([retraction("a", 5), report("a", 4)], "retracted retracted_before", False),
        ([retraction("a", 5), report("a", 6)], "retracted counted", True),
        ([retraction("a", 5), retraction("a", 5)], "retracted duplicate", False),
        ([retraction("a", 5), retraction("a", 4)], "retracted stale", False),
        ([report("a", 5), retraction("a", 7), report("a", 5)], "counted retracted retracted_before", False),
        ([report("a", 5), retraction("a", 7), report("a", 8)], "counted retracted counted", True),
    ],
)
def test_the_newest_event_of_a_reporter_stands(history: list[Report], outcomes: str, stands: bool) -> None:
    result = run(policy(9), history)
    assert " ".join(result.outcomes) == outcomes
    assert result.case.records["a"].stands is stands
    assert result.case.score == stands


def test_of_two_reports_at_one_time_the_first_to_arrive_stays() -> None:
    result = run(policy(9), [report("a", 5, reason="spam"), report("a", 5, reason="nudity", group="g1")])
    assert result.case.records == {"a": Record(BASE + 5, "spam", None)}


def test_a_retraction_never_starts_extends_or_ends_a_round() -> None:
    result = run(policy(9), [retraction("a", 1), report("b", 20), retraction("b", 25), retraction("c", 99)])
    assert [(case.floor, case.first, case.last) for case in result.cases[1:]] == [
        (0, 0, 0),
        (0, BASE + 20, BASE + 20),
        (0, BASE + 20, BASE + 20),
        (0, BASE + 20, BASE + 20),
    ]


def test_a_round_reaches_to_a_report_that_came_after_its_retraction() -> None:
    """As it does where the report came first; else repeating the report could still move the round."""
    events = [retraction("a", 6), report("a", 5), report("a", 7)]
    for history in (events, [events[1], events[0], events[2]], [*events, events[1]]):
        case = run(policy(9), history).case
        assert (case.first, case.last, case.score) == (BASE + 5, BASE + 7, 1)


# Statement 3: score --------------------------------------------------------------------------------


def test_a_group_of_many_accounts_counts_once() -> None:
    farm = [report(f"farm-{n}", n % WINDOW, group="one-network") for n in range(30)]
    result = run(policy(2), farm)
    assert result.outcomes == [COUNTED] + [DUPLICATE] * 29
    assert result.case.score == 1
    blocked = apply(policy(2), result.case, report("somebody", 5), BASE)
    assert blocked.outcome is COUNTED
    assert blocked.decision is not None
    assert blocked.decision.distinct_reporters == 2
    assert blocked.decision.reasons == {"unspecified": 31}


def test_a_group_stands_while_one_of_it_does() -> None:
    history = [report("a", 1, group="g"), report("b", 2, group="g"), report("c", 3), retraction("a", 4)]
    result = run(policy(9), history)
    assert result.case.score == 2
    assert apply(policy(9), result.case, retraction("b", 5), BASE).case.score == 1


def test_a_group_named_as_a_reporter_is_somebody_else() -> None:
    assert run(policy(9), [report("a", 1, group="b"), report("b", 2)]).case.score == 2


def test_a_reporter_who_changes_the_group_leaves_the_old_one() -> None:
    result = run(
        policy(9), [report("a", 1, group="g1"), report("b", 2, group="g2"), report("a", 3, group="g2")]
    )
    assert result.outcomes == [COUNTED, COUNTED, DUPLICATE]
    assert result.case.score == 1


# Statement 4: round --------------------------------------------------------------------------------


def test_a_report_beyond_the_window_begins_a_new_round() -> None:
    result = run(policy(3), [report("a", 0), report("b", WINDOW), report("c", WINDOW + 1)])
    assert result.outcomes == [COUNTED] * 3
    case = result.case
    assert (case.floor, case.first, case.last, case.score) == (BASE + 10, BASE + 11, BASE + 11, 1)
    assert set(case.records) == {"c"}
    assert not result.decisions


def test_a_new_round_keeps_the_retractions_that_are_newer_than_its_floor() -> None:
    history = [report("a", 0), retraction("old", 10), retraction("new", 11), report("b", 30)]
    case = run(policy(9), history).case
    assert case.floor == BASE + 10
    assert set(case.records) == {"new", "b"}
    assert apply(policy(9), case, report("old", 10), BASE).outcome is LATE
    assert apply(policy(9), case, report("new", 11), BASE).outcome is Outcome.RETRACTED_BEFORE


def test_a_new_round_forgets_the_reasons_of_the_old() -> None:
    case = run(policy(9), [report("a", 0, reason="spam"), report("b", 11, reason="nudity")]).case
    assert case.reasons == ("nudity",)


@pytest.mark.parametrize(("time", "outcome"), [(9, LATE), (10, COUNTED), (20, COUNTED), (30, COUNTED)])
def test_a_report_too_old_for_the_round_is_late(time: int, outcome: Outcome) -> None:
    result = run(policy(9), [report("a", 20), report("b", time)])
    assert result.outcomes[1] is outcome


def test_at_or_before_the_floor_is_late() -> None:
    case = run(policy(9), [report("a", 0), report("b", 15)]).case
    assert case.floor == BASE + 10
    outcomes = [apply(policy(9), case, event, BASE).outcome for event in (report("c", 10), report("c", 11))]
    assert outcomes == [LATE, COUNTED]
    assert apply(policy(9), case, retraction("c", 10), BASE).outcome is LATE


# Statement 5: block --------------------------------------------------------------------------------


def test_the_report_that_reaches_the_threshold_blocks_and_closes_the_round() -> None:
    history = [report("a", 3, reason="spam"), report("b", 1, reason="nudity"), report("c", 2, reason="spam")]
    result = run(policy(3), [*history, report("d", 4), retraction("a", 9)])
    assert result.outcomes == [COUNTED] * 3 + [Outcome.ALREADY_BLOCKED] * 2
    assert result.decisions == {
        2: Decision(
            image_id=IMAGE,
            action=Action.BLOCK,
            revision=1,
            decided_at=BASE,
            state=State.BLOCKED,
            trigger=Trigger.THRESHOLD,
            automated=True,
            distinct_reporters=3,
            threshold=3,
            reasons={"spam": 2, "nudity": 1},
            first_reported_at=BASE + 1,
            last_reported_at=BASE + 3,
            policy=policy(3).hash,
        )
    }
    assert_closed(result)


def test_revision_and_time_of_decision_grow_though_the_clock_goes_back() -> None:
    unblocked = Case(floor=BASE, revision=4, decided_at=BASE + 1000)
    for now, decided_at in ((BASE, BASE + 1001), (BASE + 1000, BASE + 1001), (BASE + 1002, BASE + 1002)):
        decision = apply(policy(1), unblocked, report("a", 1), now).decision
        assert decision is not None
        assert (decision.revision, decision.decided_at) == (5, decided_at)


# Statement 11: configuration -----------------------------------------------------------------------


def test_a_lowered_threshold_applies_at_the_next_change_and_never_on_a_plain_duplicate() -> None:
    history = [report("a", 3), report("b", 3), report("c", 3), retraction("d", 4)]
    case = run(policy(9), history).case
    lowered = policy(2)
    for event in (*history, report("a", 1), report("d", 1), retraction("a", 2), retraction("d", 1)):
        step = apply(lowered, case, event, BASE)
        assert step.decision is None
        assert step.case.state is State.OPEN
    for change in (report("e", 3), report("a", 4), retraction("a", 4)):
        step = apply(lowered, case, change, BASE)
        assert step.decision is not None
        assert step.decision.threshold == 2
    assert apply(lowered, case, retraction("a", 4), BASE).case.state is State.BLOCKED


def test_a_raised_threshold_never_unblocks() -> None:
    blocked = run(policy(1), [report("a", 1)]).case
    step = apply(policy(100), blocked, report("b", 2), BASE)
    assert step.case == blocked
    assert step.outcome is Outcome.ALREADY_BLOCKED


def test_a_round_longer_than_a_shortened_window_takes_no_more_reports() -> None:
    wide = run(policy(9), [report("a", 0, reason="spam"), report("b", 5), report("c", 9)]).case
    shorter = policy(9, 3)
    for late in (report("d", 4), report("d", 9)):
        assert apply(shorter, wide, late, BASE).outcome is LATE
        assert apply(shorter, wide, late, BASE).case == wide
    newer = apply(shorter, wide, report("d", 10), BASE)
    assert newer.outcome is COUNTED
    assert newer.case == replace(
        Case(),
        floor=BASE + 9,
        first=BASE + 10,
        last=BASE + 10,
        score=1,
        records={"d": Record(BASE + 10, "unspecified", None)},
    )
    assert apply(shorter, newer.case, report("c", 9), BASE).outcome is LATE


def test_the_hash_names_the_rule() -> None:
    assert policy(2).hash == policy(2).hash
    assert len({policy(2).hash, policy(3).hash, policy(2, 11).hash}) == 3
    assert Policy().hash == "0f09c950"
