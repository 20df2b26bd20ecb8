"""The faults that befall a site under load. Each returns once it is over."""

import random
import time
from collections.abc import Callable
from typing import NamedTuple

from tests.support.brokers.harness import Features
from tests.support.faulty_site import ONE_REDIS, FaultySite
from tests.support.proxy_thread import ProxyThread
from tests.support.waiting import wait_until

Strike = Callable[[FaultySite, random.Random], None]

DRAIN = 3
"""Seconds that a replica may take to drain, in these tests."""


class Fault(NamedTuple):
    """One kind of fault."""

    name: str
    strike: Strike
    needs: Callable[[Features], bool] = lambda _: True
    on_one_redis: bool = True
    """Also where the store is the broker; else it would be the same fault twice."""

    def befalls(self, site: FaultySite) -> bool:
        """Return whether it makes sense there."""
        return self.needs(site.harness.features) and (self.on_one_redis or site.broker != ONE_REDIS)


def _replica_killed(site: FaultySite, rng: random.Random) -> None:
    victim = rng.choice(site.victims)
    assert victim.kill() == -9
    time.sleep(rng.uniform(0, 1))
    victim.start()


def _all_replicas_killed(site: FaultySite, rng: random.Random) -> None:
    victims = site.victims
    for victim in victims:
        assert victim.kill() == -9
    for victim in victims:
        victim.start()


def _replica_stopped(site: FaultySite, rng: random.Random) -> None:
    victim = rng.choice(site.victims)
    victim.terminate()
    assert victim.wait() == 0
    victim.start()


def _drain_outlasts(way: Callable[[FaultySite], ProxyThread]) -> Strike:
    """Nothing in hand can finish without a server: the drain ends with its time, a second signal or not."""

    def strike(site: FaultySite, rng: random.Random) -> None:
        victim = rng.choice(site.victims)
        way(site).set("blackhole")
        time.sleep(rng.uniform(0, 1))
        victim.terminate()
        time.sleep(0.5)
        victim.terminate()
        assert victim.wait(DRAIN + 8) == 0
        way(site).set("pass_through")
        victim.start()

    return strike


def _replica_frozen(site: FaultySite, rng: random.Random) -> None:
    """Longer than REDELIVER_AFTER: others take over what it works on, and then it goes on with it."""
    victim = rng.choice(site.victims)
    victim.suspend()
    time.sleep(rng.uniform(3, 4))
    victim.resume()


def _replicas_join_and_leave(site: FaultySite, rng: random.Random) -> None:
    joining = [site.make_replica(wait="http").start() for _ in range(2)]
    time.sleep(rng.uniform(1, 3))
    for replica in joining:
        replica.terminate()
        assert replica.wait() == 0


def _broker_killed(seconds: float) -> Strike:
    def strike(site: FaultySite, rng: random.Random) -> None:
        site.harness.kill()
        with site.away():
            time.sleep(seconds)
        site.harness.restart()

    return strike


def _broker_frozen(site: FaultySite, rng: random.Random) -> None:
    site.harness.suspend()
    try:
        with site.away():
            time.sleep(rng.uniform(2, 4))
    finally:
        site.harness.resume()


def _network(way: Callable[[FaultySite], ProxyThread], mode: str, *arguments: str) -> Strike:
    def strike(site: FaultySite, rng: random.Random) -> None:
        way(site).set(mode, *arguments)
        with site.away():
            time.sleep(rng.uniform(2, 4))
        way(site).set("pass_through")

    return strike


def _cut(way: Callable[[FaultySite], ProxyThread], side: str) -> Strike:
    """Resets connections in the middle of messages; what was asked for may have been done."""

    def strike(site: FaultySite, rng: random.Random) -> None:
        for _ in range(6):
            before = way(site).proxy.cuts
            way(site).set("cut_once", side, rng.randrange(1, 10_000))
            wait_until(lambda: way(site).proxy.cuts > before, "a connection is cut", 30)  # noqa: B023 - at once
        way(site).set("pass_through")

    return strike


def _slow(way: Callable[[FaultySite], ProxyThread]) -> Strike:
    def strike(site: FaultySite, rng: random.Random) -> None:
        way(site).set("delay", rng.uniform(0.02, 0.1))
        time.sleep(3)
        way(site).set("pass_through")

    return strike


def _broker(site: FaultySite) -> ProxyThread:
    return site.to_broker


def _store(site: FaultySite) -> ProxyThread:
    return site.to_store


def _both_ways() -> list[Fault]:
    made = []
    for name, way in (("broker", _broker), ("store", _store)):
        faults: dict[str, Strike] = {
            "refuses connections": _network(way, "refuse"),
            "resets connections": _network(way, "reset"),
            "is silent": _network(way, "blackhole"),
            "hears nothing": _network(way, "blackhole", "requests"),
            "does not answer": _network(way, "blackhole", "replies"),
            "is cut off in a request": _cut(way, "requests"),
            "is cut off in a reply": _cut(way, "replies"),
            "is slow": _slow(way),
            "is silent at a stop": _drain_outlasts(way),
        }
        made += [
            Fault(f"{name} {what}", strike, on_one_redis=name == "broker") for what, strike in faults.items()
        ]
    return made


FAULTS = (
    Fault("replica killed", _replica_killed),
    Fault("all replicas killed", _all_replicas_killed),
    Fault("replica stopped", _replica_stopped),
    Fault("replica frozen", _replica_frozen),
    Fault("replicas join and leave", _replicas_join_and_leave),
    Fault("broker killed", _broker_killed(0.5), needs=lambda features: features.survives_kill),
    Fault("broker absent for 20 s", _broker_killed(20), needs=lambda features: features.survives_kill),
    Fault("broker frozen", _broker_frozen),
    *_both_ways(),
)
