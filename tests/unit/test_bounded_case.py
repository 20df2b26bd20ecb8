"""The bounds of a case: how many records and reasons it holds, and what goes first."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from image_moderation.domain.report import Outcome
from image_moderation.domain.rules import apply
from tests.support.declarative import ledger
from tests.support.histories import BASE, WINDOW, events_within, policy, report, retraction, run


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
    assert newcomer.outcome is Outcome.DUPLICATE
    assert set(newcomer.case.records) == {"alone", "head", "spare-99"}
    assert newcomer.case.score == full.score == 2
    assert set(apply(rule, full, retraction("late", 5), BASE).case.records) == {"alone", "head", "late"}


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


@settings(max_examples=400, deadline=None)
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
    assert len(result.decisions) == (ledger(whole, WINDOW).score >= threshold)
    if not result.decisions:
        assert result.case.score == ledger(whole, WINDOW).score
        again = run(rule, whole, result.case)
        assert again.case.score == result.case.score
        assert Outcome.COUNTED not in again.outcomes
