"""The breaker."""

from dataclasses import replace

from image_moderation.domain.clock import HOUR
from image_moderation.domain.decision import Action, Trigger
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
    assert summary(withheld) == [("b", Action.REQUEST_REVIEW, Trigger.REVIEW_THRESHOLD, 1)]
    backend.now += HOUR + 1
    assert not await store.breaker.is_open(backend.now)
