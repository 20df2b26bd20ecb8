"""The whole service with a Redis Cluster as its store: slots move, and primaries die."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from image_moderation.embedded import EmbeddedRedis
from image_moderation.store.keys import Keys
from tests.support.servers import RedisServers
from tests.support.store_faults import UnderLoad
from tests.support.valkey_cluster import ValkeyCluster
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.soak, pytest.mark.timeout(240)]

OUTBOXES = Keys("moderation").outboxes


@pytest.fixture
def cluster(redis_servers: RedisServers, tmp_path: Path) -> Iterator[ValkeyCluster]:
    lines = ("appendonly yes", "appendfsync always")
    with ValkeyCluster(tmp_path, redis_servers.engine("valkey"), *lines, replicas=1) as cluster:
        yield cluster


@pytest.fixture
def under_load(
    cluster: ValkeyCluster, redis_server: EmbeddedRedis, tmp_path: Path
) -> Callable[..., UnderLoad]:
    def undelivered() -> int:
        with cluster.client() as client:
            return sum(client.zcard(outbox) for outbox in OUTBOXES)

    def make(**env: str) -> UnderLoad:
        env |= {"MODERATION_BROKER_URL": redis_server.url, "MODERATION_STORE_URL": cluster.url}

        def broker() -> Any:
            return redis.Redis.from_url(redis_server.url)

        return UnderLoad(tmp_path, broker, env, undelivered=undelivered)

    return make


@pytest.mark.parametrize("min_replicas", ["0", "1"])
def test_slots_move_under_load(
    cluster: ValkeyCluster, under_load: Callable[..., UnderLoad], min_replicas: str
) -> None:
    with cluster.client() as client:
        slots = [client.keyslot(outbox) for outbox in OUTBOXES]
    with under_load(MODERATION_STORE_MIN_REPLICAS=min_replicas) as load:
        while load.producer.is_alive():
            for number, slot in enumerate(slots):
                targets = [one for one in cluster.primaries if one is not cluster.primary_of(slot)]
                cluster.move(slot, targets[number % len(targets)], count=5)
        load.wait_done()
        load.service.wait_ready()
        load.judge(f"Cluster: every slot moves, again and again, MIN_REPLICAS={min_replicas}", "redis")


def test_a_primary_is_killed_and_later_its_replica_too(
    cluster: ValkeyCluster, under_load: Callable[..., UnderLoad]
) -> None:
    primary = cluster.primaries[1]
    (replica,) = cluster.replicas[primary]
    with under_load(MODERATION_STORE_MIN_REPLICAS="1") as load:
        wait_until(load.blocks, "work is under way", 30)
        with load.recovery():
            primary.kill()
            load.service.wait_ready(ready=False)
            wait_until(lambda: replica.info("replication")["role"] == "master", "it is promoted", 30)
            load.wait_told(f"{replica.address}: too few replicas: 0 of 1", within=15)
            primary.start()  # as a replica of the one that was promoted
        with load.recovery():
            primary.kill()
            replica.kill()
            load.wait_told("the Cluster does not serve all slots|connection refused", within=15)
            replica.start()
            primary.start()
            cluster.wait_whole()
        load.wait_done()
        load.judge("Cluster: a primary killed, its replica promoted; both killed (CLUSTERDOWN)", "redis")


def test_a_primary_hangs_and_comes_back_as_a_replica(
    cluster: ValkeyCluster, under_load: Callable[..., UnderLoad]
) -> None:
    primary = cluster.primaries[2]
    (replica,) = cluster.replicas[primary]
    with under_load(MODERATION_STORE_MIN_REPLICAS="1") as load:
        wait_until(load.blocks, "work is under way", 30)
        with load.recovery():
            primary.freeze()
            load.service.wait_ready(ready=False)
            wait_until(lambda: replica.info("replication")["role"] == "master", "it is promoted", 30)
            primary.thaw()
            wait_until(lambda: primary.info("replication")["role"] == "slave", "it has noticed", 30)
        load.wait_done()
        load.judge("Cluster: a primary frozen, its replica promoted, then thawed", "redis")


def test_a_replica_that_dies_changes_nothing(
    cluster: ValkeyCluster, under_load: Callable[..., UnderLoad]
) -> None:
    with under_load() as load:
        for replicas in cluster.replicas.values():
            replicas[0].freeze()
        load.wait_done()
        assert load.service.get("/readyz")[0] == 200
        assert "not_ready" not in {one["event"] for one in load.service.events()}
        load.judge("Cluster: every replica frozen, MIN_REPLICAS=0", "redis")
