"""Verdicts, requested reviews, and blocks that wait for a moderator."""

from dataclasses import replace

from image_moderation.domain.decision import Action, Trigger
from image_moderation.domain.report import Outcome, Tick, Verdict
from tests.support.histories import BASE, report
from tests.support.store_backends import IN_REDIS, LEASE, POLICY, Backend, Store, review, summary


async def test_verdicts_and_reports_go_through_one_batch(store: Store) -> None:
    applied = await store.apply(
        [
            report("user-1", 1),
            report("user-2", 2),
            review("img-42", 3, Verdict.CLEARED),
            review("img-42", 3, Verdict.CLEARED),
            review("never-reported", 4, Verdict.UPHELD),
            review("img-42", 2, Verdict.UPHELD),
        ]
    )
    assert applied.outcomes[2:] == [Outcome.CLEARED, Outcome.DUPLICATE, Outcome.UPHELD, Outcome.STALE]
    assert sorted(summary(applied)) == [
        ("img-42", Action.BLOCK, Trigger.THRESHOLD, 1),
        ("img-42", Action.UNBLOCK, Trigger.MODERATOR, 2),
        ("never-reported", Action.BLOCK, Trigger.MODERATOR, 1),
    ]


async def test_a_withheld_block_is_taken_by_one_and_comes_with_a_tick(backend: Backend) -> None:
    backend.policy = replace(POLICY, review_threshold=1, review_grace=100)
    store, other = await backend.opened(), await backend.opened()
    asked = await store.apply([report("user-1", 1), report("user-2", 2)])
    assert summary(asked) == [("img-42", Action.REQUEST_REVIEW, Trigger.REVIEW_THRESHOLD, 1)]
    assert await store.claim_withheld_blocks() == []
    backend.now += 100
    assert await store.claim_withheld_blocks() == [Tick("img-42")]
    assert await other.claim_withheld_blocks() == []
    backend.now += LEASE  # whoever took it has died
    assert await other.claim_withheld_blocks() == [Tick("img-42")]
    applied = await other.apply([Tick("img-42"), Tick("img-42")])
    assert applied.outcomes == [Outcome.TICKED, Outcome.TICKED]
    assert summary(applied) == [("img-42", Action.BLOCK, Trigger.THRESHOLD, 2)]
    backend.now += 10 * LEASE
    assert await store.claim_withheld_blocks() == []


@IN_REDIS
async def test_the_oldest_unanswered_review_is_known(backend: Backend) -> None:
    backend.policy = replace(POLICY, review_threshold=1)
    store = backend.redis_store()
    await store.open()
    assert await store.oldest_review() is None
    await store.apply([report("user-1", 1, image="a")])
    backend.now += 7
    await store.apply([report("user-1", 1, image="b")])
    assert await store.oldest_review() == BASE
    await store.apply([review("a", 9, Verdict.CLEARED)])
    assert await store.oldest_review() == BASE + 7
