"""Three replicas under load, of which one or another is killed again and again."""

import random
import time
from collections.abc import Callable

import pytest

from tests.support.brokers import BROKERS
from tests.support.faulty_site import APART, ONE_REDIS, FaultySite, Row
from tests.support.outcome import make_sample
from tests.support.site import Producer

REPLICAS = 3
SECONDS = 1.0
"""Between two kills, on average. A new replica needs about as long to start, so some die before they read."""


def _kill(site: FaultySite, rng: random.Random, kills: int, rate: int) -> Row:
    size = int(kills * SECONDS * rate)
    messages, expected = make_sample(size, seed=rng.getrandbits(32), images=size // 4, people=2_000)
    replicas = [site.make_replica(wait="").start() for _ in range(REPLICAS)]
    with Producer(site, messages, rate, piece=100).running(600):
        for _ in range(kills):
            time.sleep(rng.uniform(0, 2 * SECONDS))
            victim = rng.choice(replicas)
            assert victim.kill() == -9
            victim.start()
        site.recover()
    return site.judged(f"{kills} random SIGKILLs of {REPLICAS} replicas", expected, timeout=240)


@pytest.mark.parametrize("faulty_site", [ONE_REDIS], indirect=True)
def test_three_random_kills(faulty_site: FaultySite, record: Callable[[Row], None]) -> None:
    record(_kill(faulty_site, random.Random(20), 3, 500))
    faulty_site.assert_at_rest()


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("faulty_site", [ONE_REDIS, APART, *BROKERS[1:]], indirect=True)
def test_fifty_random_kills(faulty_site: FaultySite, seed: int, record: Callable[[Row], None]) -> None:
    rng = random.Random(f"{seed} kills of {faulty_site.broker}")
    record(_kill(faulty_site, rng, 50, 200))
    faulty_site.assert_at_rest()
