"""What only a cluster of NATS servers shows; `tests/faults/test_clusters.py` breaks one under load."""

from collections.abc import Callable, Iterator

import pytest

from image_moderation.brokers.registry import broker_for
from image_moderation.domain.errors import BrokerUnavailable, Misconfigured
from tests.support.brokers import start_cluster
from tests.support.brokers.cluster import Cluster
from tests.support.brokers.harness import Harness
from tests.support.brokers.replica import GROUP, REPORTED, World, numbered, received

pytest.importorskip("nats")
import nats
from nats.aio.msg import Msg
from nats.js.api import ClusterInfo, PeerInfo

from image_moderation.brokers.nats.reader import Inbox
from image_moderation.brokers.nats.topology import STREAM, require_majority

SECOND = 1_000_000_000


@pytest.fixture
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = start_cluster("nats", tmp_path_factory.mktemp("nodes"))
    yield cluster
    cluster.close()


async def test_the_stream_is_on_every_server_and_outlives_one(broker: Cluster, world: World) -> None:
    replica = await world.replica()
    servers = broker.url.partition("?")[0].removeprefix("nats://").split(",")
    client = await nats.connect([f"nats://{server}" for server in servers])
    try:
        info = await client.jetstream().stream_info(STREAM)
        durable = await client.jetstream().consumer_info(STREAM, GROUP)
    finally:
        await client.close()
    assert info.config.num_replicas == 3
    assert durable.cluster is not None
    assert len(durable.cluster.replicas or []) == 2
    broker.publish(REPORTED, numbered(3))
    await received(replica, 3)
    leaders = [broker.leader(of) for of in broker.leaders]
    next(node for node in broker.nodes if node not in leaders).kill()
    broker.publish(REPORTED, [b"after"])
    await received(replica, 4)


async def test_a_server_alone_can_not_have_replicas(harnesses: Callable[[str], Harness]) -> None:
    server = harnesses("nats")
    server.fresh()
    async with broker_for(server.url).open_client(f"{server.url}?replicas=3", GROUP) as client:
        with pytest.raises(Misconfigured, match="option replicas is 3, but the server is not part of"):
            await client.publish([])


@pytest.mark.parametrize(("silent", "others"), [(0, 0), (1, 2), (2, 4), (1, 3)])
def test_a_majority_answers(silent: int, others: int) -> None:
    require_majority(cluster_of(silent, others))


@pytest.mark.parametrize(("silent", "others"), [(1, 1), (2, 2), (3, 4), (2, 3)])
def test_a_leader_without_a_majority(silent: int, others: int) -> None:
    with pytest.raises(BrokerUnavailable, match=f"of {others + 1} servers {silent} say nothing"):
        require_majority(cluster_of(silent, others))


def cluster_of(silent: int, others: int) -> ClusterInfo:
    peers = [PeerInfo(active=10 * SECOND)] * silent + [PeerInfo(active=SECOND)] * (others - silent)
    return ClusterInfo(leader="a", replicas=peers)


@pytest.mark.parametrize(
    ("status", "description", "refusal"),
    [
        ("404", "No Messages", ""),
        ("409", "Leadership Change", ""),
        ("409", "Batch Completed", ""),
        ("409", "Exceeded MaxWaiting", "409 Exceeded MaxWaiting"),
    ],
)
async def test_what_ends_a_request(status: str, description: str, refusal: str) -> None:
    inbox = Inbox("_INBOX.a", 10)
    subject = inbox.next_request()
    headers = {"Status": status, "Description": description}
    await inbox.receive(Msg(_client=None, subject=subject, headers=headers))  # type: ignore[arg-type]  # unused
    assert inbox.ended.is_set()
    assert inbox.refusal == refusal
