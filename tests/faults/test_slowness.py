"""What takes longer than others wait for it: a handler, a replica's clock, a backlog."""

from collections.abc import Callable
from typing import Any

import pytest
import redis

from tests.benchmarks.model import count
from tests.support.brokers import BROKERS
from tests.support.faulty_site import ONE_REDIS, FaultySite, Row
from tests.support.outcome import GROUP, REPORTED, make_sample
from tests.support.waiting import wait_until

HOUR = 3_600_000


@pytest.mark.soak
@pytest.mark.timeout(300)
@pytest.mark.parametrize("faulty_site", BROKERS, indirect=True)
def test_a_handler_that_is_slower_than_redelivery_keeps_its_messages(
    faulty_site: FaultySite, seed: int, record: Callable[[Row], None]
) -> None:
    messages, expected = make_sample(600, seed=seed)
    # A message that came to a second replica would be a dead letter. Slower than IDLE would be a standstill.
    slow = {"HANDLER_DELAY": "12", "REDELIVER_AFTER": "5000", "MODERATION_MAX_DELIVERIES": "1"}
    for _ in range(3):
        faulty_site.replica(**slow, MODERATION_BATCH_SIZE="50")
    faulty_site.publish(messages)
    record(faulty_site.judged("a handler slower than redelivery", expected))
    faulty_site.assert_at_rest()


@pytest.mark.soak
@pytest.mark.timeout(300)
@pytest.mark.parametrize("faulty_site", BROKERS, indirect=True)
@pytest.mark.parametrize("offset", [HOUR, -HOUR])
def test_a_replica_whose_clock_jumps_does_not_work(
    faulty_site: FaultySite, offset: int, seed: int, record: Callable[[Row], None]
) -> None:
    messages, expected = make_sample(2_000, seed=seed)
    faulty_site.replica()
    wrong = faulty_site.replica(CLOCK_OFFSET=f"{offset}@6")
    faulty_site.publish(messages[:1_000])
    with faulty_site.away(wrong):
        assert "clock is" in wrong.get("/readyz")[1]
        faulty_site.publish(messages[1_000:])
    # What it has in hand is its own until it ends, on the brokers that don't take it back.
    wrong.terminate()
    assert wrong.wait() == 0
    faulty_site.recover()
    record(faulty_site.judged("a replica's clock jumps by an hour", expected))
    faulty_site.assert_at_rest()


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("faulty_site", [ONE_REDIS], indirect=True)
def test_a_backlog_of_a_million_and_a_hundred_thousand_pending(
    faulty_site: FaultySite, seed: int, record: Callable[[Row], None]
) -> None:
    site = faulty_site
    messages, _ = make_sample(1_000_000, seed=seed, malformed=0.001, images=60_000, people=20_000)
    for first in range(0, len(messages), 5_000):
        site.publish(messages[first : first + 5_000])
    client: Any = redis.Redis.from_url(site.store_url)
    client.xgroup_create(REPORTED, GROUP, id="0")
    for _ in range(20):
        client.xreadgroup(GROUP, "of-a-dead-replica", {REPORTED: ">"}, count=5_000)
    service = site.replica()
    wait_until(lambda: "reclaimed" in service.log, "what the dead one had is taken over", 60)
    record(
        site.judged(
            "a million before the first start, 100,000 of them a dead replica's", count(messages), 600
        )
    )
    site.assert_at_rest()
