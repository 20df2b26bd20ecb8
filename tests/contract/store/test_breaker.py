"""The breaker."""

from dataclasses import replace

from image_moderation.domain.clock import HOUR
from image_moderation.domain.decision import Action, Trigger
from image_moderation.domain.report import Tick
from image_moderation.domain.rules.evaluation import BREAKER_RETRY
from tests.support.histories import report
from tests.support.store_backends import IN_REDIS, POLICY, Backend, summary


async def test_the_breaker_counts_an_hour_and_a_repeated_batch_once(backend: Backend) -> None:
    backend.policy = replace(POLICY, max_blocks_per_hour=1)
    store = await backend.opened()
    batch = [report("user-1", 1, image="a"), report("user-2", 2, image="a")]
    assert summary(await store.apply(batch)) == [("a", Action.BLOCK, Trigger.THRESHOLD, 1)]
    await store.apply(batch, retried=True)
    full = await store.apply([report(f"user-{n}", n, image="b") for n in (1, 2, 3)])
    assert summary(full) == [("b", Action.REQUEST_REVIEW, Trigger.BREAKER, 1)]
    backend.now += HOUR + 1
    assert summary(await store.apply([report("user-9", 9, image="b")])) == [
        ("b", Action.BLOCK, Trigger.THRESHOLD, 2)
    ]


async def test_room_in_the_breaker_blocks_without_a_further_report(backend: Backend) -> None:
    backend.policy = replace(POLICY, max_blocks_per_hour=1)
    store = await backend.opened()
    for image in ("a", "b"):
        await store.apply([report(f"user-{n}", n, image=image) for n in (1, 2)])
    for _ in range(3):
        backend.now += BREAKER_RETRY
        ticks = await store.claim_withheld_blocks()
        assert ticks == [Tick("b")]
        assert summary(await store.apply(ticks)) == []
    backend.now += HOUR
    block = await store.apply(await store.claim_withheld_blocks())
    assert summary(block) == [("b", Action.BLOCK, Trigger.THRESHOLD, 2)]
    backend.now += HOUR
    assert await store.claim_withheld_blocks() == []


@IN_REDIS
async def test_a_withheld_block_comes_though_its_option_was_switched_off(backend: Backend) -> None:
    backend.policy = replace(POLICY, max_blocks_per_hour=1)
    store = await backend.opened()
    for image in ("a", "b"):
        await store.apply([report(f"user-{n}", n, image=image) for n in (1, 2)])
    backend.policy = POLICY
    store = await backend.opened()
    backend.now += BREAKER_RETRY
    block = await store.apply(await store.claim_withheld_blocks())
    assert summary(block) == [("b", Action.BLOCK, Trigger.THRESHOLD, 2)]
    backend.now += HOUR
    assert await store.claim_withheld_blocks() == []


@IN_REDIS
async def test_whether_the_breaker_is_open_is_known(backend: Backend) -> None:
    plain = backend.redis_store()
    assert not await plain.breaker.is_open(backend.now)
    # Where a review was asked for before, no decision of the breaker's own tells.
    backend.policy = replace(POLICY, max_blocks_per_hour=1, review_threshold=1)
    store = backend.redis_store()
    await store.open()
    assert not await store.breaker.is_open(backend.now)
    await store.apply([report(f"user-{n}", n, image="a") for n in (1, 2, 3)])
    assert await store.breaker.is_open(backend.now)
    withheld = await store.apply([report(f"user-{n}", n, image="b") for n in (1, 2, 3)])
    assert summary(withheld) == [
        ("b", Action.REQUEST_REVIEW, Trigger.REVIEW_THRESHOLD, 1),
        ("b", Action.REQUEST_REVIEW, Trigger.BREAKER, 2),
    ]
    backend.now += HOUR + 1
    assert not await store.breaker.is_open(backend.now)
