"""Messages that come again and again, all at once, or that can't be understood."""

import random
import time
from collections.abc import Callable, Sequence

import pytest

from tests.benchmarks.load import MALFORMED, Pair, Sender
from tests.benchmarks.model import THRESHOLD, Kind, Message, count
from tests.support.brokers import BROKERS
from tests.support.faulty_site import ONE_REDIS, FaultySite, Row
from tests.support.outcome import make_sample
from tests.support.waiting import stays_true_for, wait_until

HANDFUL = {"MODERATION_BATCH_SIZE": "50"}
on_every_broker = pytest.mark.parametrize("faulty_site", BROKERS, indirect=True)


def _sender(seed: int) -> Sender:
    return Sender(random.Random(seed), int(time.time() * 1000) - 3_600_000, 3_599_000)


def _reports(images: Sequence[str], people: Sequence[int]) -> list[Message]:
    sender = _sender(1)
    return [
        Message(sender.body(Pair(image, f"user-{n}"), 0.5), Kind.REPORT) for n in people for image in images
    ]


def _poison(number: int, seed: int = 0) -> list[Message]:
    """Each with an own body, so that all are told apart."""
    sender = _sender(seed)
    pairs = (Pair(f"img-bad-{seed}-{n}", "user") for n in range(number))
    made = [MALFORMED[n % 10](sender, pair) for n, pair in enumerate(pairs)]
    return [
        one if one.reason != "not_json" else one._replace(body=b"%s %d" % (one.body, n))
        for n, one in enumerate(made)
    ]


@pytest.mark.soak
@pytest.mark.timeout(300)
@on_every_broker
def test_every_report_ten_times_and_shuffled(
    faulty_site: FaultySite, seed: int, record: Callable[[Row], None]
) -> None:
    rng = random.Random(f"{seed} shuffled {faulty_site.broker}")
    once, _ = make_sample(1_500, seed=rng.getrandbits(32), malformed=0)
    messages = once * 10
    rng.shuffle(messages)
    for _ in range(3):
        faulty_site.replica(**HANDFUL)
    faulty_site.publish(messages)
    record(faulty_site.judged("every report ten times, shuffled", count(messages)))
    faulty_site.assert_at_rest()


@pytest.mark.soak
@pytest.mark.timeout(300)
@on_every_broker
def test_images_at_the_threshold_from_all_replicas_at_once(
    faulty_site: FaultySite, record: Callable[[Row], None]
) -> None:
    images = [f"img-{n}" for n in range(200)]
    almost, last = _reports(images, range(THRESHOLD - 1)), _reports(images, range(THRESHOLD - 1, 30))
    for _ in range(3):
        faulty_site.replica(MODERATION_BATCH_SIZE="20")
    faulty_site.publish(almost)
    faulty_site.wait_done()
    assert faulty_site.blocks() == []
    faulty_site.publish(last)
    row = faulty_site.judged("200 images at the threshold, from three replicas at once", count(almost + last))
    record(row)
    faulty_site.assert_at_rest()


@pytest.mark.soak
@pytest.mark.timeout(300)
@on_every_broker
def test_a_flood_of_poison_then_nothing_but_poison(
    faulty_site: FaultySite, seed: int, record: Callable[[Row], None]
) -> None:
    good, _ = make_sample(500, seed=seed, malformed=0)
    messages = [*good[:100], *_poison(5_000, 1), *good[100:]]
    for place in (0, len(messages) // 2, len(messages)):
        messages.insert(place, Message(b"\xff poison %d" % place, Kind.MALFORMED, "not_utf8"))
    alone = _poison(500, 2)
    faulty_site.publish(messages)
    service = faulty_site.replica(**HANDFUL)
    faulty_site.wait_done()
    faulty_site.publish(alone)
    record(faulty_site.judged("a flood of poison, and nothing but poison", count([*messages, *alone])))
    faulty_site.assert_at_rest()
    counted = [
        line for line in service.get("/metrics")[1].splitlines() if line.startswith("moderation_dead_")
    ]
    assert sum(float(line.split()[-1]) for line in counted if "_total{" in line) >= 5_503


@pytest.mark.parametrize("faulty_site", [ONE_REDIS], indirect=True)
def test_dead_letters_that_can_not_be_written_hold_back_their_batch(
    faulty_site: FaultySite, record: Callable[[Row], None]
) -> None:
    site = faulty_site
    good, _ = make_sample(200, malformed=0)
    messages = [*good[:100], *_poison(1), *good[100:]]
    service = site.replica()
    site.store.set("image.dead-letter", "not a stream", ex=600)
    site.publish(messages)
    wait_until(lambda: "park waits" in service.get("/readyz")[1], "it is told", 30)
    stays_true_for(lambda: site.harness.waiting("image.reported") > 0, 1, "the batch with it is not acked")
    site.store.delete("image.dead-letter")
    record(site.judged("dead letters can't be written", count(messages)))
    site.assert_at_rest()
