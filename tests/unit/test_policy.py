"""The policy: its promises over random histories, and one plain example or more for each statement."""

from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from image_moderation.domain.case import Case, Record
from image_moderation.domain.decision import Action, Decision, State, Trigger
from image_moderation.domain.policy import Policy, apply, score
from image_moderation.domain.report import Outcome, Report
from tests.support.declarative import deciding, ledger, reports_between
from tests.support.histories import BASE, IMAGE, Run, events_within, report, retraction, run

WINDOW = 10
COUNTED, DUPLICATE, LATE = Outcome.COUNTED, Outcome.DUPLICATE, Outcome.LATE
thresholds = st.integers(1, 7)
many = settings(max_examples=400, deadline=None)


def policy(threshold: int, window: int = WINDOW) -> Policy:
    return Policy(block_threshold=threshold, report_window=window)


def ledger_of(case: Case) -> dict[str, tuple[int, str | None, str | None]]:
    """A case's records without the order they came in."""
    return {who: (record.time, record.reason, record.group) for who, record in case.records.items()}


def expected_ledger(history: list[Report]) -> dict[str, tuple[int, str | None, str | None]]:
    return {
        who: (event.time, None if event.retracted else event.reason, event.group)
        for who, event in ledger(history).newest.items()
    }


# Promise A: reports alone, within one window -------------------------------------------------------


@many
@given(st.data(), thresholds)
def test_a_reports_alone_end_the_same_in_any_order_and_repetition(
    data: st.DataObject, threshold: int
) -> None:
    history = data.draw(events_within(WINDOW, retractions=False))
    repeated = data.draw(st.lists(st.sampled_from(history), max_size=6))
    other = data.draw(st.permutations(history + repeated))
    enough = ledger(history).score >= threshold
    for order in (history, other):
        result = run(policy(threshold), order)
        assert len(result.decisions) == enough
        if enough:
            _is_closed(result)
            continue
        case = result.case
        assert case.state is State.OPEN
        assert case.score == ledger(history).score
        assert (case.first, case.last) == (ledger(history).first, ledger(history).last)
        assert ledger_of(case) == expected_ledger(history)
        assert case.floor == 0


def _is_closed(result: Run) -> None:
    case = result.case
    (decision,) = result.decisions.values()
    assert case == Case(
        state=State.BLOCKED,
        floor=decision.last_reported_at or 0,
        revision=1,
        decided_at=decision.decided_at,
        trigger=Trigger.THRESHOLD,
    )


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
    with_all = ledger(history).score
    without_retractions = ledger([event for event in history if not event.retracted]).score
    for order in (history, other):
        result = run(policy(threshold), order)
        assert len(result.decisions) <= 1
        if with_all >= threshold:
            assert result.decisions
        if result.decisions:
            assert without_retractions >= threshold
            _is_closed(result)
        else:
            case = result.case
            assert ledger_of(case) == expected_ledger(history)
            assert (case.score, case.first, case.last, case.floor) == (
                with_all,
                ledger(history).first,
                ledger(history).last,
                0,
            )


@many
@given(events_within(WINDOW, retractions=True, keep_group=False), thresholds)
def test_within_one_window_the_decision_is_what_the_definition_says(
    history: list[Report], threshold: int
) -> None:
    """Which event blocks, and every field of the decision; groups may change from report to report."""
    result = run(policy(threshold), history, now=BASE + 77)
    number = deciding(history, threshold)
    if number is None:
        assert not result.decisions
        assert result.case.score == ledger(history).score
        return
    seen = ledger(history[: number + 1])
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
            first_reported_at=seen.first,
            last_reported_at=seen.last,
            policy=policy(threshold).hash,
            traceparent=history[number].traceparent,
        )
    }
    assert set(result.outcomes[number + 1 :]) <= {Outcome.ALREADY_BLOCKED}


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
            counted = reports_between(history[: number + 1], first, last)
            assert decision.distinct_reporters == counted.score >= threshold
            assert decision.reasons == counted.reasons
            assert before.floor < first <= last <= first + WINDOW
        elif after.state is State.OPEN:
            assert after.score == score(after.records) < threshold
            assert all(record.time > after.floor for record in after.records.values())
            if after.first:
                assert after.floor < after.first <= after.last <= after.first + WINDOW
                assert after.score == reports_between(history[: number + 1], after.first, after.last).score
            assert all(
                after.first <= record.time <= after.last for record in after.records.values() if record.stands
            )


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
        if outcome is COUNTED and after.state is State.OPEN:
            assert after.last - after.first <= rules[1].report_window
    for number, decision in result.decisions.items():
        if not history[cut + number].retracted:
            first, last = decision.first_reported_at or 0, decision.last_reported_at or 0
            assert last - first <= rules[1].report_window
    if rules[0].report_window < rules[1].report_window:
        return  # what was too old for the shorter window may count now, for the first time
    again = run(rules[1], history, result.case)
    assert not again.decisions
    assert not {COUNTED, Outcome.RETRACTED} & set(again.outcomes)


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
    _is_closed(result)


def test_revision_and_time_of_decision_grow_though_the_clock_goes_back() -> None:
    unblocked = Case(floor=BASE, revision=4, decided_at=BASE + 1000)
    for now, decided_at in ((BASE, BASE + 1001), (BASE + 1000, BASE + 1001), (BASE + 1002, BASE + 1002)):
        decision = apply(policy(1), unblocked, report("a", 1), now).decision
        assert decision is not None
        assert (decision.revision, decision.decided_at) == (5, decided_at)


# Statement 9, as far as it is built: the bound -----------------------------------------------------


def test_a_full_case_drops_retractions_and_spare_members_and_never_a_group() -> None:
    rule = policy(3)
    assert rule.most_records == 88
    history = [report("alone", 1), report("head", 2, group="g")]
    history += [report(f"spare-{n}", 3, group="g") for n in range(43)]
    history += [retraction(f"gone-{n}", 4) for n in range(43)]
    full = run(rule, history).case
    assert len(full.records) == 88
    known = apply(rule, full, report("spare-1", 5, group="g"), BASE)
    assert len(known.case.records) == 88
    newcomer = apply(rule, full, report("spare-99", 5, group="g"), BASE)
    assert newcomer.outcome is DUPLICATE
    assert set(newcomer.case.records) == {"alone", "head", "spare-99"}
    assert newcomer.case.score == full.score == 2
    assert set(apply(rule, full, retraction("late", 5), BASE).case.records) == {"alone", "head", "late"}


@many
@given(st.data(), st.integers(1, 3))
def test_a_flood_never_changes_the_score_and_never_outgrows_the_bound(
    data: st.DataObject, threshold: int
) -> None:
    """Beyond the bound a repeated spare member or forgotten retraction adds a record, and counts nothing."""
    history = data.draw(events_within(WINDOW, retractions=False, most=6))
    size, group = data.draw(st.integers(60, 120)), data.draw(st.sampled_from([None, "g1", "flood"]))
    flood = [report(f"f-{n}", 1, group=group) if group else retraction(f"f-{n}", 1) for n in range(size)]
    where = data.draw(st.integers(0, len(history)))
    whole = history[:where] + flood + history[where:]
    rule = policy(threshold)
    result = run(rule, whole)
    assert max(len(case.records) for case in result.cases) <= rule.most_records
    assert len(result.decisions) == (ledger(whole).score >= threshold)
    if not result.decisions:
        assert result.case.score == ledger(whole).score
        again = run(rule, whole, result.case)
        assert again.case.score == result.case.score
        assert COUNTED not in again.outcomes


def test_reasons_beyond_the_table_are_other() -> None:
    names = [f"{n}".ljust(64, "x") for n in range(5)]
    history = [report(f"user-{n}", 1, reason=name) for n, name in enumerate(names)]
    result = run(policy(6), [*history, report("last", 2, reason=names[0])])
    assert result.case.reasons == ()
    assert result.decisions[5].reasons == {names[0]: 2, names[1]: 1, names[2]: 1, "other": 2}


@pytest.mark.parametrize(("size", "recorded"), [(43, "v" * 43), (44, "other")])
def test_the_table_of_reasons_holds_240_bytes(size: int, recorded: str) -> None:
    """One each besides the text, and one to begin with."""
    names = ["x" * 64, "y" * 64, "z" * 64, "v" * size]
    case = run(policy(9), [report(name[0], 1, reason=name) for name in names]).case
    assert case.records["v"].reason == recorded


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
