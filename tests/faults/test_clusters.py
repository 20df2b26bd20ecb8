"""Brokers of three nodes: any one may go, and without a majority nothing is acked and nothing is lost."""

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from image_moderation.embedded import EmbeddedRedis
from tests.support.brokers import OLD_NATS, start_cluster
from tests.support.brokers.cluster import Cluster
from tests.support.cluster_site import ClusterSite
from tests.support.faulty_site import Row
from tests.support.outcome import make_sample
from tests.support.site import Producer

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]

SIZE, RATE = 6_000, 1_000
LONG = 25.0
"""Seconds after which a leader without a majority has given up."""

Strike = Callable[[ClusterSite], None]


@pytest.fixture(scope="module", params=["nats", OLD_NATS, "rabbitmq"])
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Started once, because that takes long; a test that is done heals what it has broken."""
    cluster = start_cluster(request.param, tmp_path_factory.mktemp(request.param))
    yield cluster
    cluster.close()


@pytest.fixture
def site(
    request: pytest.FixtureRequest, cluster: Cluster, redis_server: EmbeddedRedis, tmp_path: Path
) -> Iterator[ClusterSite]:
    cluster.fresh()
    name = f"{request.node.callspec.params['cluster']}, 3 nodes"
    with ClusterSite(name, cluster, redis_server, tmp_path) as site:
        yield site


def leader(act: str) -> Strike:
    """The leader of the reports goes, and then that of the readers, if they have one of their own."""

    def strike(site: ClusterSite) -> None:
        for what in site.cluster.leaders:
            getattr(site.cluster.leader(what), act)()
            site.recover()
            site.cluster.restart()

    return strike


def follower(act: str) -> Strike:
    def strike(site: ClusterSite) -> None:
        leaders = [site.cluster.leader(what) for what in site.cluster.leaders]
        getattr(next(node for node in site.cluster.nodes if node not in leaders), act)()
        site.recover()
        site.cluster.restart()

    return strike


def two_of_three(act: str, seconds: float) -> Strike:
    def strike(site: ClusterSite) -> None:
        for node in site.cluster.nodes[1:]:
            getattr(node, act)()
        with site.away():
            time.sleep(seconds)
        site.cluster.restart()

    return strike


def each_in_turn(site: ClusterSite) -> None:
    for node in site.cluster.nodes:
        node.kill()
        site.recover()
        site.cluster.restart()


FAULTS: dict[str, Strike] = {
    "follower killed": follower("kill"),
    "leader killed": leader("kill"),
    "follower frozen": follower("freeze"),
    "leader frozen": leader("freeze"),
    "two of three nodes killed": two_of_three("kill", LONG),
    "two of three nodes frozen": two_of_three("freeze", LONG),
    "each node killed in turn": each_in_turn,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_a_cluster(
    site: ClusterSite, fault: str, seed: int, record: Callable[[Row], None]
) -> None:
    rng = random.Random(f"{seed} {fault} {site.broker}")
    messages, expected = make_sample(SIZE, seed=rng.getrandbits(32), images=1_500, people=1_000)
    for _ in range(2):
        site.replica(MODERATION_BATCH_SIZE="200")
    with Producer(site, messages, RATE, piece=100).running():
        time.sleep(rng.uniform(0.5, 2))
        FAULTS[fault](site)
        site.recover()
    record(site.judged(fault, expected))
    site.assert_at_rest()
