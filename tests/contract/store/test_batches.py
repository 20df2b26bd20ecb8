"""Batches of any shape, and ids, groups, reasons and times of any kind."""

import pytest

from image_moderation.domain.decision import Backlog, State
from image_moderation.domain.report import Outcome, Report
from tests.support.case_values import case_key
from tests.support.histories import BASE, report
from tests.support.store_backends import ODD_IDS, Outbox, Store, by_image, decision, two_reports


async def test_many_images_of_many_partitions_in_one_batch(store: Store, outbox: Outbox) -> None:
    images = [f"img-{number}" for number in range(300)]
    assert len({case_key(image)[:16] for image in images}) == 64
    reports = [report(f"user-{who}", who, image=image) for who in (1, 2, 3) for image in images]
    applied = await store.apply(reports)
    assert applied.outcomes == [Outcome.COUNTED] * 600 + [Outcome.ALREADY_BLOCKED] * 300
    assert by_image(applied.entries) == [decision(image) for image in sorted(images)]
    assert await outbox.backlog() == Backlog(300, BASE)


async def test_one_image_many_times_in_one_batch(store: Store) -> None:
    applied = await store.apply(two_reports() + two_reports() + [report("user-3", 1)])
    assert " ".join(applied.outcomes) == "counted counted already_blocked already_blocked already_blocked"
    assert [entry.decision for entry in applied.entries] == [decision()]


async def test_a_crowd_in_one_batch(store: Store) -> None:
    crowd = [report(f"user-{number}", 1, group="one") for number in range(2_000)]
    applied = await store.apply(crowd)
    assert applied.outcomes == [Outcome.COUNTED] + [Outcome.DUPLICATE] * 1_999
    case, _ = await store.case("img-42")
    assert len(case.records) <= 8 * 2 + 64
    assert (await store.apply([report("somebody", 2)])).entries[0].decision.distinct_reporters == 2


@pytest.mark.parametrize("image", ODD_IDS, ids=range(len(ODD_IDS)))
async def test_any_image_id_goes(store: Store, image: str, outbox: Outbox) -> None:
    applied = await store.apply(two_reports(image))
    assert [entry.decision for entry in applied.entries] == [decision(image)]
    case, waiting = await store.case(image)
    assert case.state is State.BLOCKED
    assert waiting == [decision(image)]
    assert list(await outbox.settle(applied.entries)) == [True]


async def test_any_reporter_group_and_long_reason_go(store: Store) -> None:
    odd = report("漢" * 256, 1, group='{"}:\0' * 51, reason="z" * 64)
    applied = await store.apply([odd, odd, report("\0", 2, reason="z" * 63)])
    assert " ".join(applied.outcomes) == "counted duplicate counted"
    assert applied.entries[0].decision.reasons == {"z" * 64: 1, "z" * 63: 1}


async def test_times_of_the_far_past_go(store: Store) -> None:
    applied = await store.apply([Report("img-42", "a", 1, BASE), Report("img-42", "b", 2, BASE)])
    assert [entry.decision for entry in applied.entries] == [
        decision(first_reported_at=1, last_reported_at=2)
    ]
