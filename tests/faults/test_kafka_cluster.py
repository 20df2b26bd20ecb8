"""Kafka on three nodes, which are killed, frozen and stopped, and a group that changes in mid-batch."""

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import ElectionType
from confluent_kafka.admin import AdminClient

from image_moderation.brokers.port import INCOMING
from image_moderation.embedded import EmbeddedRedis
from image_moderation.events.models import CHANNELS
from tests.benchmarks.model import Expected, Message
from tests.support.brokers.kafka.harness import RealHarness
from tests.support.brokers.kafka.server import fetched
from tests.support.faulty_site import Row
from tests.support.kafka_site import KafkaSite
from tests.support.outcome import make_sample
from tests.support.servers import missing
from tests.support.site import REPORTED, Producer
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.soak, pytest.mark.timeout(600)]

SIZE, RATE = 12_000, 600
PATIENCE = 120.0
ABSENCE = 75
"""Seconds: more than any timeout of the client."""
OUTGOING = [channel for channel in CHANNELS if channel not in INCOMING]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealHarness]:
    if not fetched():
        missing("kafka")
    harness = RealHarness(tmp_path_factory.mktemp("kafka-cluster"), nodes=3)
    yield harness
    harness.close()


@pytest.fixture
def site(cluster: RealHarness, redis_server: EmbeddedRedis, tmp_path: Path) -> Iterator[KafkaSite]:
    cluster.fresh()
    with KafkaSite(cluster, redis_server, tmp_path) as site:
        yield site


@pytest.fixture
def rng(request: pytest.FixtureRequest, seed: int) -> random.Random:
    return random.Random(f"{seed} {request.node.name}")


@pytest.fixture
def sample(rng: random.Random) -> tuple[list[Message], Expected]:
    return make_sample(SIZE, seed=rng.getrandbits(32), images=3_000, people=2_000)


Sample = tuple[list[Message], Expected]
Record = Callable[[Row], None]


def start(site: KafkaSite, replicas: int = 3) -> None:
    for _ in range(replicas):
        site.replica(MODERATION_BATCH_SIZE="200")


def rest(site: KafkaSite, fault: str, sample: Sample, record: Record) -> None:
    record(site.judged(fault, sample[1], PATIENCE))
    site.assert_at_rest()


def test_a_node_is_killed_under_load(
    site: KafkaSite, rng: random.Random, sample: Sample, record: Record
) -> None:
    start(site)
    with Producer(site, sample[0], RATE, piece=100).running(300):
        for _ in range(2):
            time.sleep(rng.uniform(1, 3))
            node = site.cluster.nodes[site.leader(REPORTED, rng.randrange(4))]
            node.kill()
            site.recover()
            site.cluster.start()
            wait_until(site.in_step, "the node has caught up", PATIENCE)
    rest(site, "a node killed, a leader of reports", sample, record)


def test_leaders_move(site: KafkaSite, rng: random.Random, sample: Sample, record: Record) -> None:
    """Every node is stopped in turn, as for a new version; then each gets back the partitions it led."""
    start(site)
    with Producer(site, sample[0], RATE, piece=100).running(300):
        for node in site.cluster.nodes:
            time.sleep(rng.uniform(0.5, 2))
            node.stop()
            site.recover()
            site.cluster.start()
            wait_until(site.in_step, "the node has caught up", PATIENCE)
        before = [site.leader(REPORTED, partition) for partition in range(4)]
        elect(site.kafka.admin)
        wait_until(
            lambda: [site.leader(REPORTED, partition) for partition in range(4)] != before, "leaders move", 20
        )
        site.recover()
    rest(site, "a rolling restart, leaders moved back", sample, record)


def elect(admin: AdminClient) -> None:
    """Make the first copy of each partition its leader again."""
    admin.elect_leaders(ElectionType.PREFERRED).result(20)


def test_a_node_freezes(site: KafkaSite, rng: random.Random, sample: Sample, record: Record) -> None:
    start(site)
    with Producer(site, sample[0], RATE / 2, piece=100).running(300):
        time.sleep(rng.uniform(1, 3))
        node = site.cluster.nodes[site.leader(REPORTED, rng.randrange(4))]
        node.freeze()
        try:
            site.recover()
            time.sleep(30)
        finally:
            node.thaw()
        site.recover()
    rest(site, "a node frozen for 30 s, a leader of reports", sample, record)


def test_too_few_copies_in_step(site: KafkaSite, rng: random.Random, sample: Sample, record: Record) -> None:
    """The outgoing topics want three, and there are two nodes: no decision can be published."""
    start(site)
    with Producer(site, sample[0], RATE, piece=100).running(300):
        time.sleep(rng.uniform(1, 3))
        site.set_config(OUTGOING, "min.insync.replicas", "3")
        site.cluster.nodes[rng.randrange(3)].kill()
        with site.away():
            wait_until(lambda: site.undelivered() > 0, "decisions wait", 20)
        site.set_config(OUTGOING, "min.insync.replicas", "2")
        site.recover()
    site.cluster.start()
    rest(site, "min.insync.replicas not met", sample, record)


def test_the_whole_cluster_is_away_for_long(
    site: KafkaSite, rng: random.Random, sample: Sample, record: Record
) -> None:
    start(site)
    with Producer(site, sample[0], RATE, piece=100).running(400):
        time.sleep(rng.uniform(1, 3))
        site.cluster.kill()
        with site.away():
            time.sleep(ABSENCE)
        site.cluster.start()
        site.recover()
    rest(site, f"all nodes killed, back after {ABSENCE} s", sample, record)


def test_members_come_and_go(site: KafkaSite, rng: random.Random, sample: Sample, record: Record) -> None:
    """Three replicas under load; one joins, one leaves, one is killed, again and again, in mid-batch."""
    start(site)
    with Producer(site, sample[0], RATE, piece=100).running(300):
        for _ in range(3):
            time.sleep(rng.uniform(0.2, 1))
            site.replica(MODERATION_BATCH_SIZE="200")
            leaving, killed = rng.sample(site.awake[:-1], 2)
            time.sleep(rng.uniform(0.2, 1))
            leaving.terminate()
            assert leaving.wait() == 0
            time.sleep(rng.uniform(0.2, 1))
            assert killed.kill() == -9
            site.recover()
            killed.start()
    rest(site, "three members: one joins, one leaves, one is killed", sample, record)
