"""SIGKILL at every step between read and ack: nothing is lost, and each block is published exactly once.

One replica after another dies, each at the next step of what the one before has left; the last one finishes.
"""

import random
import signal
from collections.abc import Callable

import pytest

from tests.support.brokers import BROKERS
from tests.support.failing_service import STEPS
from tests.support.faulty_site import APART, ONE_REDIS, FaultySite, Row
from tests.support.outcome import make_sample

PIECE = 150
"""Messages that come before each death: so many that every step is reached."""
SWEPT = "after_claim_unpublished"
"""Waits until the decisions of a replica that died before have been in the outbox for five seconds."""


def _steps(broker: str) -> list[str]:
    """The steps that there are. Where broker and store are one Redis, publishing and settling is one."""
    missing = ("publish", "settle") if broker == ONE_REDIS else ("deliver",)
    return [step for step in STEPS if not step.endswith(missing) and step != SWEPT]


def _die_at_each(site: FaultySite, steps: list[str], seed: int) -> Row:
    messages, expected = make_sample(PIECE * len(steps), seed=seed, malformed=0.05)
    for number, step in enumerate(steps):
        site.publish(messages[PIECE * number : PIECE * (number + 1)])
        dying = site.make_replica(wait="", FAILPOINT=step, MODERATION_BATCH_SIZE="50").start()
        assert dying.wait(60) == -signal.SIGKILL, step
    site.replica()
    site.recover()
    return site.judged("SIGKILL at every step", expected)


@pytest.mark.parametrize("faulty_site", [ONE_REDIS, APART], indirect=True)
def test_a_kill_at_every_step(faulty_site: FaultySite, record: Callable[[Row], None]) -> None:
    record(_die_at_each(faulty_site, _steps(faulty_site.broker), 7))
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
    # What this one has acked and not published is for a sweep.
    steps = [*steps, "after_ack", SWEPT]
    record(_die_at_each(faulty_site, steps, rng.getrandbits(32)))
    faulty_site.assert_at_rest()
