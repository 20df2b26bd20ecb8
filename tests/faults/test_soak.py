"""A site in use for `--minutes`, with a fault every twenty seconds: nothing is lost, and nothing grows.

`make soak` runs half an hour of it on one broker, `make faults` a minute on each.
"""

import json
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.benchmarks.model import Expected, Message, count
from tests.support.brokers import BROKERS
from tests.support.faults import DRAIN, FAULTS
from tests.support.faulty_site import APART, ONE_REDIS, FaultySite, Row
from tests.support.outcome import make_sample, merge
from tests.support.service_process import ServiceProcess
from tests.support.site import Producer

ROUND = 20.0
"""Seconds from one fault to the next, at least."""
MOST_RATE = 2_000
"""Messages a second that the model can count beside the service."""
REPLICAS = 3
GROWTH = {"megabytes": 12.0, "files": 6, "connections": 6}
"""By how much the last third of all readings may lie above the first: of one replica that no fault ends, and
of the connections of all.
"""


class Reading(NamedTuple):
    """What could grow."""

    megabytes: float
    """Resident, of the replica that no fault ends."""
    files: int
    """That it has open, sockets too."""
    connections: int
    """Of all replicas, to the broker and the store."""


def _read(site: FaultySite, spared: ServiceProcess) -> Reading:
    proc = Path("/proc") / str(spared.pid)
    [resident] = [line for line in (proc / "status").read_text().splitlines() if line.startswith("VmRSS:")]
    connections = sum(way.proxy.connections for way in {site.to_broker, site.to_store})
    return Reading(int(resident.split()[1]) / 1024, len(list((proc / "fd").iterdir())), connections)


def _growth(readings: list[Reading]) -> dict[str, float]:
    third = max(1, len(readings) // 3)
    first, last = readings[:third], readings[-third:]
    return {
        name: statistics.median(getattr(one, name) for one in last)
        - statistics.median(getattr(one, name) for one in first)
        for name in Reading._fields
    }


def _round(number: int, size: int, rng: random.Random) -> tuple[list[Message], Expected]:
    """Return messages of images that no other round has."""
    messages, _ = make_sample(size, seed=rng.getrandbits(32), malformed=0.01, images=size // 4, people=2_000)
    own = [one._replace(body=one.body.replace(b"img-", b"img-%d-" % number)) for one in messages]
    return own, count(own)


def _half_of_top_speed(site: FaultySite, expected: list[Expected], rng: random.Random) -> float:
    messages, these = _round(0, 3_000, rng)
    begun = time.monotonic()
    site.publish(messages)
    site.wait_done(120)
    expected.append(these)
    return min(MOST_RATE, len(messages) / (time.monotonic() - begun) / 2)


# The client of the test: nats-py leaves a socket open where a server takes a connection and then is silent.
LEFT_OPEN = pytest.mark.filterwarnings("ignore::ResourceWarning")


@LEFT_OPEN
@pytest.mark.soak
@pytest.mark.timeout(3 * 3600)
@pytest.mark.parametrize("faulty_site", [ONE_REDIS, APART, *BROKERS[1:]], indirect=True)
def test_a_soak(
    faulty_site: FaultySite, seed: int, minutes: float, record: Callable[[Row], None], tmp_path: Path
) -> None:
    site, rng = faulty_site, random.Random(f"{seed} soak {faulty_site.broker}")
    faults = [fault for fault in FAULTS if fault.befalls(site)]
    for _ in range(REPLICAS):
        site.replica(MODERATION_SHUTDOWN_TIMEOUT=f"{DRAIN}s")
    site.spared = site.replicas[0]
    expected: list[Expected] = []
    rate = _half_of_top_speed(site, expected, rng)
    readings: list[Reading] = []
    befell: list[str] = []
    end = time.monotonic() + 60 * minutes
    while time.monotonic() < end:
        messages, these = _round(len(expected), int(rate * ROUND), rng)
        expected.append(these)
        with Producer(site, messages, rate, piece=max(20, int(rate / 10))).running(600):
            time.sleep(rng.uniform(0, ROUND / 4))
            fault = rng.choice(faults)
            befell.append(fault.name)
            fault.strike(site, rng)
            site.recover()
        readings.append(_read(site, site.spared))
        print(f"{befell[-1]}: {readings[-1]}, recovered in {site.recoveries[-1]:.1f} s", flush=True)
    grown = _growth(readings)
    row = site.judged(f"soak, {minutes:g} min, {len(befell)} faults", merge(expected))
    record(row)
    print(f"\n{site.broker}: {rate:.0f}/s, {json.dumps(row.as_dict())}, grown by {grown}")
    site.assert_at_rest()
    assert {name: by for name, by in grown.items() if by > GROWTH[name]} == {}
