"""SIGKILL at every step between read and ack: nothing is lost, and each block is published exactly once.

One replica after another dies, each at the next step of what the one before has left; the last one finishes.
"""

import random
import signal
from collections.abc import Callable

import pytest

from tests.benchmarks.model import Expected, count
from tests.support.brokers import BROKERS
from tests.support.failing_service import NEVER_PUBLISHED, STEPS
from tests.support.faulty_site import APART, ONE_REDIS, FaultySite, Row
from tests.support.outcome import make_sample, merge
from tests.support.waiting import wait_until

PIECE = 150
"""Messages that come before each death: so many that every step is reached."""
SWEPT = "after_claim_unpublished"
"""Reached once the decisions of a replica that died before have been in the outbox for five seconds."""


def _steps(broker: str) -> list[str]:
    """The steps that there are. Where broker and store are one Redis, publishing and settling is one."""
    missing = ("publish", "settle") if broker == ONE_REDIS else ("deliver",)
    return [step for step in STEPS if not step.endswith(missing) and step != SWEPT]


def _die_at_each(site: FaultySite, steps: list[str], seed: int) -> Expected:
    messages, expected = make_sample(PIECE * len(steps), seed=seed, malformed=0.05)
    for number, step in enumerate(steps):
        site.publish(messages[PIECE * number : PIECE * (number + 1)])
        dying = site.make_replica(wait="", FAILPOINT=step, MODERATION_BATCH_SIZE="50").start()
        assert dying.wait() == -signal.SIGKILL, step
    return expected


def _die_in_a_sweep(site: FaultySite, seed: int) -> Expected:
    """Leave decisions in the outbox whose messages are acked; only a sweep finds them."""
    messages, _ = make_sample(PIECE, seed=seed, malformed=0)
    own = [one._replace(body=one.body.replace(b"img-", b"img-swept-")) for one in messages]
    leaving = site.make_replica(wait="http", FAILPOINT=NEVER_PUBLISHED).start()
    site.publish(own)
    wait_until(lambda: site.left() == site.undelivered() > 0, "all is acked, and decisions are left", 60)
    assert leaving.kill() == -signal.SIGKILL
    dying = site.make_replica(wait="", FAILPOINT=SWEPT).start()
    assert dying.wait() == -signal.SIGKILL
    return count(own)


def _judged(site: FaultySite, *expected: Expected) -> Row:
    site.replica()
    site.recover()
    return site.judged("SIGKILL at every step", merge(expected))


@pytest.mark.parametrize("faulty_site", [ONE_REDIS, APART], indirect=True)
def test_a_kill_at_every_step(faulty_site: FaultySite, record: Callable[[Row], None]) -> None:
    record(_judged(faulty_site, _die_at_each(faulty_site, _steps(faulty_site.broker), 7)))
    faulty_site.assert_at_rest()


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("faulty_site", [ONE_REDIS, APART, *BROKERS[1:]], indirect=True)
def test_a_kill_at_every_step_in_another_order(
    faulty_site: FaultySite, seed: int, record: Callable[[Row], None]
) -> None:
    rng = random.Random(f"{seed} kills {faulty_site.broker}")
    steps = _steps(faulty_site.broker)
    rng.shuffle(steps)
    swept = _die_in_a_sweep(faulty_site, rng.getrandbits(32))
    expected = _die_at_each(faulty_site, steps, rng.getrandbits(32))
    record(_judged(faulty_site, swept, expected))
    faulty_site.assert_at_rest()
