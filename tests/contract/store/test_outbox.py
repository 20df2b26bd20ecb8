"""The outbox: claims, leases, settling, and how much waits."""

from itertools import count, islice

from image_moderation.domain.decision import Backlog, OutboxEntry
from tests.support.case_values import case_key
from tests.support.histories import BASE
from tests.support.store_backends import (
    IN_REDIS,
    LEASE,
    Backend,
    Outbox,
    Store,
    by_image,
    decision,
    two_reports,
)


async def test_a_decision_is_claimed_once_its_lease_is_over_and_by_one(
    backend: Backend, store: Store, outbox: Outbox
) -> None:
    other_outbox = backend.outbox()
    await store.apply(two_reports())
    backend.now = BASE + LEASE - 1
    assert list(await outbox.claim_unpublished()) == []
    backend.now = BASE + LEASE
    claimed = await outbox.claim_unpublished()
    assert [(entry.decision, entry.arrived is None or entry.arrived) for entry in claimed] in (
        [(decision(), True)],
        [(decision(), BASE + 9)],
    )
    assert list(await other_outbox.claim_unpublished()) == []
    backend.now = BASE + 2 * LEASE - 1
    assert list(await other_outbox.claim_unpublished()) == []
    backend.now = BASE + 2 * LEASE
    assert by_image(await other_outbox.claim_unpublished()) == [decision()]
    assert list(await outbox.claim_unpublished()) == []
    assert await outbox.backlog() == Backlog(1, BASE)


async def test_claims_are_limited_and_leave_the_rest(backend: Backend, store: Store, outbox: Outbox) -> None:
    # All of one partition, because the limit is one of each.
    images = [
        image for image in (f"img-{n}" for n in range(900)) if case_key(image)[:16] == case_key("img-0")[:16]
    ]
    await store.apply([one for image in images for one in two_reports(image)])
    backend.now = BASE + LEASE
    taken: list[OutboxEntry] = []
    while batch := await outbox.claim_unpublished(limit=4):
        assert len(batch) <= 4
        taken += batch
    assert by_image(taken) == [decision(image) for image in sorted(images)]


async def test_settling_says_who_was_first(backend: Backend, store: Store, outbox: Outbox) -> None:
    other_outbox = backend.outbox()
    entries = (await store.apply([*two_reports("a"), *two_reports("b")])).entries
    one = [entry for entry in entries if entry.decision.image_id == "a"]
    assert list(await outbox.settle(one)) == [True]
    assert list(await other_outbox.settle(entries)) == [entry.decision.image_id == "b" for entry in entries]
    assert list(await outbox.settle(entries)) == [False, False]
    assert await outbox.backlog() == Backlog(0, None)
    backend.now = BASE + LEASE
    assert list(await outbox.claim_unpublished()) == []
    assert list((await store.apply(two_reports("a"), retried=True)).entries) == []


async def test_the_outbox_says_how_old_it_is(backend: Backend, store: Store, outbox: Outbox) -> None:
    assert await outbox.backlog() == Backlog(0, None)
    first = await store.apply(two_reports("a"))
    backend.now = BASE + 100
    await store.apply(two_reports("b"))
    assert await outbox.backlog() == Backlog(2, BASE)
    await outbox.settle(first.entries)
    assert await outbox.backlog() == Backlog(1, BASE + 100)


@IN_REDIS
async def test_of_many_decisions_of_one_partition_the_next_hundred_tell_the_age(
    backend: Backend, store: Store, outbox: Outbox
) -> None:
    ids = (f"img-{n}" for n in count())
    images = list(islice((one for one in ids if case_key(one)[:16] == case_key("img-0")[:16]), 101))
    await store.apply(two_reports(images[0]))
    backend.now = BASE + 100
    await store.apply([one for image in images[1:] for one in two_reports(image)])
    assert await outbox.backlog() == Backlog(101, BASE)
    backend.now = BASE + LEASE
    assert by_image(await outbox.claim_unpublished()) == [decision(images[0])]
    assert await outbox.backlog() == Backlog(101, BASE + 100), "the oldest is tried again after the others"
