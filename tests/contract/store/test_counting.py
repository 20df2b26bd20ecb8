"""Counting reporters, and the decision that this brings about."""

from dataclasses import replace

import pytest

from image_moderation.domain.case import Case
from image_moderation.domain.decision import Applied, State, Trigger
from image_moderation.domain.report import Outcome
from tests.support.histories import BASE, report, retraction
from tests.support.store_backends import POLICY, WINDOW, Backend, Outbox, Store, decision, two_reports


async def test_outcomes_come_in_the_order_of_the_batch(store: Store) -> None:
    applied = await store.apply(
        [
            report("user-1", 1, image="a"),
            report("user-1", 1, image="b"),
            report("user-1", 1, image="a"),
            retraction("user-2", 5, image="c"),
            report("user-2", 5, image="c"),
            retraction("user-2", 4, image="c"),
            report("user-2", 2, image="b", group="g"),
            report("user-1", 1 + WINDOW + 1, image="a"),
            report("user-2", 1, image="a"),
            report("user-3", 3, image="b"),
        ]
    )
    assert " ".join(applied.outcomes) == (
        "counted counted duplicate retracted retracted_before stale counted counted late already_blocked"
    )
    assert [entry.decision.image_id for entry in applied.entries] == ["b"]


async def test_who_reports_again_later_counts_once_while_the_case_is_open(backend: Backend) -> None:
    backend.policy = replace(POLICY, block_threshold=9)
    store = await backend.opened()
    for number, outcome in ((1, Outcome.COUNTED), (2, Outcome.COUNTED), (1, Outcome.DUPLICATE)):
        later = number + 10 * (outcome is Outcome.DUPLICATE)
        assert (await store.apply([report(f"user-{number}", later)])).outcomes == [outcome]
    case, _ = await store.case("img-42")
    assert len(case.records) == 2


async def test_nothing_is_done_for_an_empty_batch(store: Store, outbox: Outbox) -> None:
    assert await store.apply([]) == Applied([], [])
    assert await store.apply([], retried=True) == Applied([], [])
    assert list(await outbox.settle([])) == []


async def test_a_decision_has_all_its_facts(store: Store, backend: Backend) -> None:
    backend.now = BASE + 500
    first = await store.apply([report("user-1", 3, reason="spam", group="g"), report("user-9", 9, group="g")])
    assert first == Applied([Outcome.COUNTED, Outcome.DUPLICATE], [])
    second = await store.apply([report("user-2", 2, reason="nudity", delay=400)])
    assert second.outcomes == [Outcome.COUNTED]
    (entry,) = second.entries
    assert entry.arrived == BASE + 402
    assert entry.decision == decision(
        decided_at=BASE + 500,
        reasons={"spam": 1, "nudity": 1, "unspecified": 1},
        first_reported_at=BASE + 2,
        last_reported_at=BASE + 9,
    )


async def test_a_case_can_be_read(store: Store) -> None:
    assert await store.case("img-42") == (Case(), [])
    await store.apply(
        [report("user-1", 3, reason="spam"), retraction("user-2", 9), report("user-3", 1, image="b")]
    )
    case, waiting = await store.case("img-42")
    assert (case.state, case.last, case.score, case.floor) == (
        State.OPEN,
        BASE + 3,
        1,
        BASE + 2 - WINDOW,
    )
    assert [tuple(record) for record in case.records.values()] == [
        (BASE + 3, "spam", None),
        (BASE + 9, None, None),
    ]
    assert waiting == []
    await store.apply([report("user-2", 10)])
    case, waiting = await store.case("img-42")
    assert case == Case(
        state=State.BLOCKED,
        floor=BASE + 10,
        last=BASE + 10,
        revision=1,
        decided_at=BASE,
        trigger=Trigger.THRESHOLD,
        facts=waiting[0].facts,
    )
    assert [(one.image_id, one.revision) for one in waiting] == [("img-42", 1)]
    assert (await store.case("b"))[1] == []


@pytest.mark.parametrize(("now", "decided_at"), [(0, 1001), (1000, 1001), (1001, 1001), (2000, 2000)])
async def test_revision_and_time_of_decision_grow(
    store: Store, backend: Backend, now: int, decided_at: int
) -> None:
    """Though the clock stands still or goes back."""
    await backend.seed("img-42", Case(floor=BASE, revision=69_999, decided_at=BASE + 1000))
    backend.now = BASE + now
    applied = await store.apply([report("user-0", 0), *two_reports()])
    assert applied.outcomes == [Outcome.LATE, Outcome.COUNTED, Outcome.COUNTED]
    assert [entry.decision for entry in applied.entries] == [
        decision(revision=70_000, decided_at=BASE + decided_at)
    ]
