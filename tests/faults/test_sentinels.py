"""The whole service on a Redis that three Sentinels look after: its primary dies or hangs under load."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis

from image_moderation.embedded import EmbeddedRedis
from image_moderation.store.keys import Keys
from tests.benchmarks.model import Message
from tests.support.outcome import REPORTED
from tests.support.redis_processes import RedisNode
from tests.support.redis_sentinels import SentinelGroup
from tests.support.servers import RedisServers
from tests.support.store_faults import UnderLoad
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.soak, pytest.mark.timeout(400)]

OUTBOXES = Keys("moderation").outboxes


@pytest.fixture
def group(redis_servers: RedisServers, tmp_path: Path) -> Iterator[SentinelGroup]:
    lines = ("appendonly yes", "appendfsync always")
    with SentinelGroup(tmp_path, redis_servers.engine("redis"), *lines) as group:
        yield group


def undelivered(group: SentinelGroup) -> Callable[[], int]:
    def count() -> int:
        with group.primary().client() as client:
            return sum(client.zcard(outbox) for outbox in OUTBOXES)

    return count


def is_replica(node: RedisNode) -> bool:
    return bool(node.info("replication")["role"] == "slave")


def break_twice(group: SentinelGroup, load: UnderLoad, fault: str) -> None:
    """The primary is killed or hangs, and comes back as a replica; then the same of the one after it."""
    for _ in range(2):
        load.wait_for_another_block()
        old = group.primary()
        with load.recovery():
            old.kill() if fault == "killed" else old.freeze()
            group.wait_for_another(old)
            old.start() if fault == "killed" else old.thaw()
        wait_until(partial(is_replica, old), "it is a replica now", 30)


@pytest.mark.parametrize("fault", ["killed", "frozen"])
def test_the_store_fails_over(
    group: SentinelGroup, redis_server: EmbeddedRedis, tmp_path: Path, fault: str
) -> None:
    env = {
        "MODERATION_BROKER_URL": redis_server.url,
        "MODERATION_STORE_URL": group.url,
        "MODERATION_STORE_MIN_REPLICAS": "1",
    }

    def broker() -> Any:
        return redis.Redis.from_url(redis_server.url)

    with UnderLoad(tmp_path, broker, env, undelivered=undelivered(group), size=4_000, rate=100) as load:
        break_twice(group, load, fault)
        load.wait_done()
        load.judge(f"Sentinel, the store: a primary {fault}, twice", "redis")


@pytest.mark.parametrize("fault", ["killed", "frozen"])
def test_broker_and_store_in_one_fail_over(group: SentinelGroup, tmp_path: Path, fault: str) -> None:
    """A producer that waits for a replica, as the service does, loses nothing either."""
    env = {"MODERATION_BROKER_URL": group.url, "MODERATION_STORE_MIN_REPLICAS": "1"}

    def broker() -> Any:
        return group.primary().client()

    def publish(messages: Sequence[Message]) -> None:
        with broker() as client, client.pipeline(transaction=False) as pipeline:
            for message in messages:
                pipeline.xadd(REPORTED, {"__data__": message.body})
            pipeline.wait(1, 900)
            assert pipeline.execute()[-1] >= 1

    load = UnderLoad(
        tmp_path, broker, env, undelivered=undelivered(group), publish=publish, size=4_000, rate=100
    )
    with load:
        break_twice(group, load, fault)
        load.wait_done()
        load.judge(f"Sentinel, broker and store in one: a primary {fault}, twice", "redis")
