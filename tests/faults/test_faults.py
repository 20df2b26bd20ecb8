"""Each fault of `tests.support.faults` on each broker, while reports come in."""

import random
import time
from collections.abc import Callable

import pytest

from tests.support.brokers import BROKERS
from tests.support.faults import DRAIN, FAULTS, Fault
from tests.support.faulty_site import APART, FaultySite, Row
from tests.support.outcome import make_sample
from tests.support.site import Producer

SIZE, RATE = 2_000, 300
PLACES = (BROKERS[0], APART, *BROKERS[1:])


# The client of the test: nats-py leaves a socket open where a server takes a connection and then is silent.
LEFT_OPEN = pytest.mark.filterwarnings("ignore::ResourceWarning")


@LEFT_OPEN
@pytest.mark.soak
@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name.replace(" ", "_"))
@pytest.mark.parametrize("faulty_site", PLACES, indirect=True)
def test_a_fault_under_load(
    faulty_site: FaultySite, fault: Fault, seed: int, record: Callable[[Row], None]
) -> None:
    site = faulty_site
    if not fault.befalls(site):
        pytest.skip("not a fault of its own there")
    rng = random.Random(f"{seed} {fault.name} {site.broker}")
    messages, expected = make_sample(SIZE, seed=rng.getrandbits(32), images=500, people=500)
    for _ in range(2):
        site.replica(MODERATION_SHUTDOWN_TIMEOUT=f"{DRAIN}s", MODERATION_BATCH_SIZE="200")
    with Producer(site, messages, RATE, piece=50).running():
        time.sleep(rng.uniform(0.5, 2))
        fault.strike(site, rng)
        site.recover()
    record(site.judged(fault.name, expected))
    site.assert_at_rest()
