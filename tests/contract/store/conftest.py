"""Every store in turn: in memory; in Redis on Valkey, Redis 7.0 and 6.2; and a Cluster."""

from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from image_moderation.redis_connection import Client, connect
from tests.support.redis_users import password, url_of
from tests.support.servers import OLDEST, RedisServers, clean
from tests.support.store_backends import Backend, Outbox, Store
from tests.support.valkey_cluster import ValkeyCluster


@pytest.fixture(scope="session")
def valkey_cluster(
    redis_servers: RedisServers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ValkeyCluster]:
    with ValkeyCluster(tmp_path_factory.mktemp("cluster"), redis_servers.engine("valkey")) as cluster:
        yield cluster


@pytest.fixture(params=["memory", "valkey", "redis", OLDEST, "cluster"])
async def backend(
    request: pytest.FixtureRequest, redis_servers: RedisServers, no_key_without_ttl: Callable[[str], None]
) -> AsyncIterator[Backend]:
    kind: str = request.param
    if kind == "memory":
        yield Backend(kind)
        return
    if kind == "cluster":
        cluster: ValkeyCluster = request.getfixturevalue("valkey_cluster")
        url, nodes = cluster.url, cluster.node_urls
    else:
        nodes = [redis_servers.get(kind).url]
        url = url_of("service", nodes[0])
    for node in nodes:
        clean(node)
        no_key_without_ttl(node)
    client = connect(url)
    yield Backend(kind, url, client=client)
    await client.aclose()


@pytest.fixture
async def store(backend: Backend) -> Store:
    return await backend.opened()


@pytest.fixture
def outbox(backend: Backend) -> Outbox:
    return backend.outbox()


@pytest.fixture
async def client(backend: Backend) -> AsyncIterator[Client]:
    """Of a user who may do everything, for the test itself; a Cluster has no others."""
    assert backend.url is not None
    assert backend.client is not None
    if backend.name == "cluster":
        yield backend.client
        return
    client = connect(backend.url.replace(f"service:{password('service')}@", ""))
    yield client
    await client.aclose()
