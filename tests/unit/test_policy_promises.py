"""The policy's promises, over random histories. Promise D, about verdicts: test_verdicts_and_reviews.py.

More histories than by default: HISTORIES=200000 pytest tests/unit/test_policy_promises.py
"""

import os
from collections.abc import Sequence

from hypothesis import example, given, settings
from hypothesis import strategies as st

from image_moderation.domain.case import Case
from image_moderation.domain.decision import Action, Decision, State, Trigger
from image_moderation.domain.report import Outcome, Report
from image_moderation.domain.rules.records import distinct_groups
from tests.support.declarative import deciding, first_full_window, ledger
from tests.support.histories import (
    BASE,
    IMAGE,
    WINDOW,
    Run,
    assert_closed,
    events_within,
    policy,
    report,
    retraction,
    run,
)

COUNTED, LATE = Outcome.COUNTED, Outcome.LATE
thresholds = st.integers(1, 7)
many = settings(max_examples=int(os.environ.get("HISTORIES", "400")), deadline=None)


def ledger_of(case: Case) -> dict[str, tuple[int, str | None, str | None]]:
    """A case's records without the order they came in."""
    return {who: (record.time, record.reason, record.group) for who, record in case.records.items()}


def expected_ledger(history: Sequence[Report]) -> dict[str, tuple[int, str | None, str | None]]:
    return {
        who: (event.time, None if event.retracted else event.reason, event.group)
        for who, event in ledger(history, WINDOW).newest.items()
    }


def assert_open(result: Run, history: Sequence[Report]) -> None:
    """The run of `history` has decided nothing, and its case holds what the definition says."""
    case, expected = result.case, ledger(history, WINDOW)
    assert not result.decisions
    assert case.state is State.OPEN
    assert ledger_of(case) == expected_ledger(history)
    assert (case.score, case.last) == (expected.score, expected.last)
    assert case.floor == max(0, case.last - WINDOW - 1)


# Promise A: reports alone, within one window -------------------------------------------------------


@many
@given(st.data(), thresholds)
def test_a_reports_alone_end_the_same_in_any_order_and_repetition(
    data: st.DataObject, threshold: int
) -> None:
    history = data.draw(events_within(WINDOW, retractions=False))
    repeated = data.draw(st.lists(st.sampled_from(history), max_size=6))
    other = data.draw(st.permutations(history + repeated))
    enough = ledger(history, WINDOW).score >= threshold
    for order in (history, other):
        result = run(policy(threshold), order)
        assert len(result.decisions) == enough
        if enough:
            assert_closed(result, order)
        else:
            assert_open(result, order)


# Promise B: with retractions, within one window ----------------------------------------------------


@many
@given(st.data(), thresholds)
@example(None, 2)
def test_b_the_ledger_converges_and_a_block_stands_between(
    data: st.DataObject | None, threshold: int
) -> None:
    if data is None:  # a retraction that comes before its report, which was superseded as well
        history = [retraction("user-1", 6), report("user-1", 5), report("user-1", 7)]
        other = list(reversed(history))
    else:
        history = data.draw(events_within(WINDOW, retractions=True))
        other = data.draw(
            st.permutations(history + data.draw(st.lists(st.sampled_from(history), max_size=6)))
        )
    with_all = ledger(history, WINDOW).score
    reports = [event for event in history if not event.retracted]
    for order in (history, other):
        result = run(policy(threshold), order)
        assert len(result.decisions) <= 1
        if with_all >= threshold:
            assert result.decisions
        if result.decisions:
            assert ledger(reports, WINDOW).score >= threshold
            assert_closed(result, order)
        else:
            assert_open(result, order)


# Statement 4: the window slides -------------------------------------------------------------------------


@many
@given(events_within(4 * WINDOW, retractions=False, most=16), thresholds)
def test_in_order_the_first_report_blocks_that_makes_any_window_hold_the_threshold(
    history: list[Report], threshold: int
) -> None:
    history.sort(key=lambda event: event.time)
    number = first_full_window(history, WINDOW, threshold)
    result = run(policy(threshold), history)
    assert list(result.decisions) == ([] if number is None else [number])
    if number is None:
        assert_open(result, history)
    else:
        assert_closed(result, history)


@many
@given(events_within(3 * WINDOW, retractions=True, most=18, keep_group=False), thresholds)
def test_the_decision_is_what_the_definition_says(history: list[Report], threshold: int) -> None:
    """In any order, over several windows: which event blocks, and every field of the decision; groups may
    change from report to report.
    """
    result = run(policy(threshold), history, now=BASE + 77)
    number = deciding(history, WINDOW, threshold)
    if number is None:
        assert_open(result, history)
        return
    seen = ledger(history[: number + 1], WINDOW)
    first, last = seen.reported
    assert result.decisions == {
        number: Decision(
            image_id=IMAGE,
            action=Action.BLOCK,
            revision=1,
            decided_at=BASE + 77,
            state=State.BLOCKED,
            trigger=Trigger.THRESHOLD,
            automated=True,
            distinct_reporters=seen.score,
            threshold=threshold,
            reasons=seen.reasons,
            first_reported_at=first,
            last_reported_at=last,
            policy=policy(threshold).hash,
            traceparent=history[number].traceparent,
        )
    }
    assert result.outcomes[number] is COUNTED
    for event, outcome in zip(history[number + 1 :], result.outcomes[number + 1 :], strict=True):
        assert event.retracted or outcome is Outcome.ALREADY_BLOCKED
    assert_closed(result, history)


# Promise C: over many windows ----------------------------------------------------------------------


@many
@given(events_within(5 * WINDOW, retractions=True, most=25, keep_group=False), thresholds)
def test_c_what_counts_lies_within_one_window_and_after_the_floor(
    history: list[Report], threshold: int
) -> None:
    rule = policy(threshold)
    result = run(rule, history)
    for number, event in enumerate(history):
        before, after, outcome = result.cases[number], result.cases[number + 1], result.outcomes[number]
        assert after.floor >= before.floor
        if before.state is State.OPEN and event.time <= before.floor:
            assert outcome is LATE
            assert after == before
        decision = result.decisions.get(number)
        if decision is not None:
            first, last = decision.first_reported_at or 0, decision.last_reported_at or 0
            assert before.floor < first <= last <= first + WINDOW
        elif after.state is State.OPEN:
            assert after.floor >= after.last - WINDOW - 1
            assert after.score == distinct_groups(after.records) < threshold
            times = [record.time for record in after.records.values()]
            assert times == sorted(times)
            assert not times or times[0] > after.floor
            assert after.reported is None or after.reported[1] <= after.reported[0] + WINDOW


# Promise E: replays --------------------------------------------------------------------------------


@many
@given(st.data(), thresholds)
def test_e_what_was_processed_changes_nothing_when_it_comes_again(
    data: st.DataObject, threshold: int
) -> None:
    history = data.draw(events_within(4 * WINDOW, retractions=True, most=16, keep_group=False))
    rule = policy(threshold)
    for end in range(1, len(history) + 1):
        done = history[:end]
        case = run(rule, done).case
        again = [run(rule, done, case, now=BASE + 1)]
        again += [run(rule, [event], case, now=BASE + 1) for event in done]
        for result in again:
            assert result.case == case
            assert not result.decisions
            assert not {COUNTED, Outcome.RETRACTED} & set(result.outcomes)


@many
@given(st.data(), thresholds, st.integers(1, WINDOW))
def test_e_holds_over_a_changed_window(data: st.DataObject, threshold: int, shorter: int) -> None:
    """A shortened window counts nothing twice; neither it nor a lengthened one goes beyond itself."""
    history = data.draw(events_within(3 * WINDOW, retractions=True, most=16))
    cut = data.draw(st.integers(0, len(history)))
    rules = [policy(threshold), policy(threshold, shorter)]
    if data.draw(st.booleans()):
        rules.reverse()
    case = run(rules[0], history[:cut]).case
    result = run(rules[1], history[cut:], case)
    for number, outcome in enumerate(result.outcomes):
        after = result.cases[number + 1]
        if outcome is COUNTED and after.reported is not None:
            assert after.reported[1] - after.reported[0] <= rules[1].report_window
    for decision in result.decisions.values():
        first, last = decision.first_reported_at or 0, decision.last_reported_at or 0
        assert last - first <= rules[1].report_window
    if rules[0].report_window < rules[1].report_window:
        return  # what was too old for the shorter window may count now, for the first time
    again = run(rules[1], history, result.case)
    assert not again.decisions
    assert not {COUNTED, Outcome.RETRACTED} & set(again.outcomes)
