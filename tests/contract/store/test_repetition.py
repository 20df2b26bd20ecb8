"""Batches that come again."""

from tests.support.histories import BASE, report
from tests.support.store_backends import Outbox, Store, by_image, decision, two_reports


async def test_a_repeated_batch_changes_nothing_and_returns_what_is_unsettled(
    store: Store, outbox: Outbox
) -> None:
    batch = [*two_reports("a"), *two_reports("b"), report("user-1", 1, image="c")]
    first = await store.apply(batch)
    assert by_image(first.entries) == [decision("a"), decision("b")]
    plain = await store.apply(batch)
    assert " ".join(plain.outcomes) == " ".join(["already_blocked"] * 4 + ["duplicate"])
    assert plain.entries == []
    again = await store.apply(batch, retried=True)
    assert again.outcomes == plain.outcomes
    assert by_image(again.entries) == by_image(first.entries)
    assert {entry.token for entry in again.entries} == {entry.token for entry in first.entries}
    await outbox.settle([entry for entry in first.entries if entry.decision.image_id == "a"])
    assert by_image((await store.apply(batch, retried=True)).entries) == [decision("b")]


async def test_a_retried_batch_returns_a_new_decision_once(store: Store) -> None:
    applied = await store.apply(two_reports(), retried=True)
    assert [(entry.decision, entry.arrived) for entry in applied.entries] == [(decision(), BASE + 9)]
