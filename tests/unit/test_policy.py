"""The policy, statement by statement: one plain example or more for each."""

from dataclasses import replace

import pytest

from image_moderation.domain.case import Case, Record
from image_moderation.domain.decision import Action, Decision, State, Trigger
from image_moderation.domain.policy import Policy
from image_moderation.domain.report import Outcome, Report, Review, Tick, Verdict
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


def test_a_retraction_never_moves_the_window() -> None:
    result = run(policy(9), [retraction("a", 1), report("b", 20), retraction("b", 25), retraction("c", 99)])
    assert [(case.floor, case.last) for case in result.cases[1:]] == [
        (0, 0),
        (BASE + 9, BASE + 20),
        (BASE + 9, BASE + 20),
        (BASE + 9, BASE + 20),
    ]


def test_the_window_reaches_to_a_report_that_came_after_its_retraction() -> None:
    """As it does where the report came first; else repeating the report could still move the window."""
    events = [retraction("a", 9), report("a", 8), report("b", 5)]
    for history in (events, [events[1], events[0], events[2]], [*events, events[1]]):
        case = run(policy(9), history).case
        assert (case.floor, case.last, case.score) == (BASE - 3, BASE + 8, 1)


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


# Statement 4: the window slides --------------------------------------------------------------------


def test_reports_older_than_the_window_slide_out() -> None:
    result = run(policy(3), [report("a", 0), report("b", WINDOW), report("c", WINDOW + 1)])
    assert result.outcomes == [COUNTED] * 3
    case = result.case
    assert (case.floor, case.last, case.score) == (BASE, BASE + 11, 2)
    assert set(case.records) == {"b", "c"}
    assert not result.decisions


def test_an_early_report_does_not_decide_where_the_window_begins() -> None:
    """Seven people within eight days, after one who came four weeks before them."""
    days = (0, 27, 28, 29, 31, 32, 33, 34)
    rule = policy(5, 30)
    history = [report(f"user-{day}", day) for day in days]
    for order in (history, history[1:], list(reversed(history))):
        assert len(run(rule, order).decisions) == 1
    assert list(run(rule, history).decisions) == [5]


def test_a_retraction_stays_until_the_floor_passes_it() -> None:
    history = [report("a", 0), retraction("old", 19), retraction("new", 20), report("b", 30)]
    case = run(policy(9), history).case
    assert case.floor == BASE + 19
    assert set(case.records) == {"new", "b"}
    assert apply(policy(9), case, report("old", 19), BASE).outcome is LATE
    assert apply(policy(9), case, report("new", 20), BASE).outcome is Outcome.RETRACTED_BEFORE


def test_reasons_that_slid_out_make_room_in_a_full_table() -> None:
    names = [letter * 64 for letter in "abcd"]
    times = (0, 5, 6, 11)
    history = [report(name[0], time, reason=name) for name, time in zip(names, times, strict=True)]
    full = run(policy(9), history[:3]).case
    assert apply(policy(9), full, report("e", 7, reason=names[3]), BASE).case.records["e"].reason == "other"
    case = run(policy(9), history).case
    assert case.reasons == (names[1], names[2], names[3])
    assert run(policy(9), [report("e", 30)], case).case.reasons == ()


@pytest.mark.parametrize(("time", "outcome"), [(9, LATE), (10, COUNTED), (20, COUNTED), (30, COUNTED)])
def test_a_report_older_than_the_window_is_late(time: int, outcome: Outcome) -> None:
    result = run(policy(9), [report("a", 20), report("b", time)])
    assert result.outcomes[1] is outcome


def test_at_or_before_the_floor_is_late() -> None:
    case = run(policy(9), [report("a", 0), report("b", 21)]).case
    assert case.floor == BASE + 10
    outcomes = [apply(policy(9), case, event, BASE).outcome for event in (report("c", 10), report("c", 11))]
    assert outcomes == [LATE, COUNTED]
    assert apply(policy(9), case, retraction("c", 10), BASE).outcome is LATE


def test_a_report_after_all_others_slid_out_counts_its_reporter_again() -> None:
    result = run(policy(2), [report("a", 0), report("a", 30)])
    assert result.outcomes == [COUNTED, COUNTED]
    assert result.case.score == 1


# Statement 5: block --------------------------------------------------------------------------------


def test_the_report_that_reaches_the_threshold_blocks_and_drops_the_reporters() -> None:
    history = [report("a", 3, reason="spam"), report("b", 1, reason="nudity"), report("c", 2, reason="spam")]
    whole = [*history, report("d", 4)]
    result = run(policy(3), whole)
    assert result.outcomes == [COUNTED] * 3 + [Outcome.ALREADY_BLOCKED]
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
    assert_closed(result, whole)


def test_a_report_that_was_taken_back_lends_no_time_to_the_decision() -> None:
    """Nor does one whose reporter has reported again."""
    history = [report("a", 1), retraction("a", 2), report("b", 3), report("b", 4), report("c", 5)]
    history += [retraction("c", 6), report("d", 4)]
    (decision,) = run(policy(2), history).decisions.values()
    assert (decision.first_reported_at, decision.last_reported_at) == (BASE + 4, BASE + 5)
    (decision,) = run(policy(2), [*history[:4], retraction("e", 9), report("d", 8)]).decisions.values()
    assert (decision.first_reported_at, decision.last_reported_at) == (BASE + 4, BASE + 8)


def test_a_retraction_of_a_blocked_image_is_kept_until_the_floor_passes_it() -> None:
    """So that after a verdict with a short immunity a late copy of the report does not count."""
    blocked = run(policy(2), [report("a", 1), report("b", 2), retraction("c", 9), report("d", 9)])
    assert blocked.outcomes[2:] == [Outcome.RETRACTED, Outcome.ALREADY_BLOCKED]
    again = run(policy(2), [retraction("c", 9), retraction("c", 8), retraction("a", 1)], blocked.case)
    assert again.outcomes == [DUPLICATE, Outcome.STALE, LATE]
    assert again.case == blocked.case
    rule = replace(policy(2), immunity=0)
    opened = apply(rule, blocked.case, Review(IMAGE, BASE + 5, BASE + 5, Verdict.CLEARED), BASE).case
    assert apply(rule, opened, report("c", 8), BASE).outcome is Outcome.RETRACTED_BEFORE
    assert apply(rule, opened, report("d", 8), BASE).outcome is COUNTED


def test_revision_and_time_of_decision_grow_though_the_clock_goes_back() -> None:
    unblocked = Case(floor=BASE, revision=4, decided_at=BASE + 1000)
    for now, decided_at in ((BASE, BASE + 1001), (BASE + 1000, BASE + 1001), (BASE + 1002, BASE + 1002)):
        decision = apply(policy(1), unblocked, report("a", 1), now).decision
        assert decision is not None
        assert (decision.revision, decision.decided_at) == (5, decided_at)


# Statement 11: configuration -----------------------------------------------------------------------


def test_a_lowered_threshold_applies_at_the_next_counted_report_alone() -> None:
    history = [report("a", 3), report("b", 3), report("c", 3), retraction("d", 4)]
    case = run(policy(9), history).case
    lowered = policy(2)
    changes = (report("a", 4), retraction("a", 4), retraction("e", 4))
    for event in (*history, report("a", 1), report("d", 1), retraction("a", 2), retraction("d", 1), *changes):
        step = apply(lowered, case, event, BASE)
        assert step.decision is None
        assert step.case.state is State.OPEN
    for verdict in (Verdict.CLEARED, Verdict.UPHELD):
        step = apply(replace(lowered, immunity=0), case, Review(IMAGE, BASE + 2, BASE + 2, verdict), BASE)
        assert (step.decision is None) is (verdict is Verdict.CLEARED)
    assert apply(lowered, case, Tick(IMAGE), BASE).decision is None
    for change in (report("e", 3), report("d", 5)):
        step = apply(lowered, case, change, BASE)
        assert step.decision is not None
        assert step.decision.threshold == 2
        assert step.case.state is State.BLOCKED


def test_a_raised_threshold_never_unblocks() -> None:
    blocked = run(policy(1), [report("a", 1)]).case
    step = apply(policy(100), blocked, report("b", 2), BASE)
    assert step.case == blocked
    assert step.outcome is Outcome.ALREADY_BLOCKED


def test_a_shortened_window_applies_at_the_next_change() -> None:
    wide = run(policy(9), [report("a", 0, reason="spam"), report("b", 5), report("c", 9)]).case
    shorter = policy(9, 3)
    for late in (report("d", 4), report("d", 5), retraction("d", 5), retraction("b", 5)):
        assert apply(shorter, wide, late, BASE).outcome is LATE
        assert apply(shorter, wide, late, BASE).case == wide
    for change in (report("d", 6), retraction("d", 6)):
        step = apply(shorter, wide, change, BASE)
        assert (set(step.case.records), step.case.floor) == ({"c", "d"}, BASE + 5)


def test_the_hash_names_the_rule() -> None:
    assert policy(2).hash == policy(2).hash
    assert len({policy(2).hash, policy(3).hash, policy(2, 11).hash}) == 3
    assert Policy().hash == "0f09c950"
