"""What a fail-over to a replica that lags loses, and the setting that keeps it. docs/store.md has both."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from image_moderation.embedded import EmbeddedRedis
from image_moderation.events.render import report_event
from tests.support.outcome import BLOCKED, GROUP, REPORTED, entries, wait_done
from tests.support.proxy import FaultProxy
from tests.support.redis_processes import RedisNode, replicate
from tests.support.servers import RedisServers
from tests.support.service_process import ServiceProcess
from tests.support.waiting import wait_until

TOO_FEW = "too few replicas: 0 of 1 have what was written; MODERATION_STORE_MIN_REPLICAS=1 asks for them"


@pytest.fixture
def start(redis_servers: RedisServers, tmp_path: Path) -> Iterator[Callable[[], RedisNode]]:
    nodes: list[RedisNode] = []

    def start() -> RedisNode:
        nodes.append(RedisNode(redis_servers.engine("valkey"), tmp_path))
        return nodes[-1].start()

    yield start
    for node in nodes:
        node.stop()


class Site:
    """A service whose broker is one server, and whose store is a primary with a replica behind it."""

    def __init__(self, broker_url: str, tmp_path: Path, address: FaultProxy, min_replicas: int) -> None:
        self.broker: Any = redis.Redis.from_url(broker_url)
        env = {
            "MODERATION_BROKER_URL": broker_url,
            "MODERATION_STORE_URL": address.url,
            "MODERATION_STORE_MIN_REPLICAS": str(min_replicas),
        }
        self.service = ServiceProcess(tmp_path, env, timeout=40)

    def report(self, image: str, *people: int) -> None:
        for person in people:
            event = report_event(
                event_id=f"{image}-{person}",
                source="/tests",
                time=int(time.time() * 1000),
                image_id=image,
                reporter_id=f"user-{person}",
            )
            self.broker.xadd(REPORTED, {"__data__": event})

    def wait_done(self, store: RedisNode) -> None:
        wait_done(self.broker, store.client(), 40)

    def wait_told(self) -> None:
        """`/readyz` says what is missing, and what has come meanwhile stays unacked."""
        wait_until(lambda: TOO_FEW in self.service.get("/readyz")[1], "readyz says it", 20)
        pending = self.broker.xpending(REPORTED, GROUP)["pending"]
        assert pending + self.broker.xinfo_groups(REPORTED)[0]["lag"] == 6
        assert self.service.get("/livez")[0] == 200

    def blocked(self) -> list[str]:
        return sorted(json.loads(event)["data"]["image_id"] for event in entries(self.broker, BLOCKED))


@pytest.fixture
async def link(start: Callable[[], RedisNode]) -> AsyncIterator[tuple[RedisNode, RedisNode, FaultProxy]]:
    """A primary, its replica, and the way by which the one follows the other."""
    primary, replica = start(), start()
    async with FaultProxy(("127.0.0.1", primary.port)) as link:
        await asyncio.to_thread(replicate, replica, primary, ("127.0.0.1", link.port))
        yield primary, replica, link


@pytest.mark.soak
@pytest.mark.timeout(180)
@pytest.mark.parametrize("min_replicas", [0, 1])
async def test_a_replica_that_lags_is_promoted(
    link: tuple[RedisNode, RedisNode, FaultProxy],
    start: Callable[[], RedisNode],
    redis_server: EmbeddedRedis,
    tmp_path: Path,
    min_replicas: int,
) -> None:
    primary, replica, way = link
    async with FaultProxy(("127.0.0.1", primary.port)) as address:
        site = Site(redis_server.url, tmp_path, address, min_replicas)

        def before() -> None:
            site.service.start()
            site.report("almost", 1, 2, 3)
            site.wait_done(primary)

        def while_it_lags() -> None:
            site.report("almost", 4)
            site.report("reached", 1, 2, 3, 4, 5)
            if min_replicas:
                site.wait_told()
                assert site.blocked() == []
            else:
                site.wait_done(primary)
                assert site.blocked() == ["reached"]

        def after() -> None:
            replica.ask("REPLICAOF", "NO", "ONE")
            replicate(start(), replica)
            site.report("almost", 5)
            site.wait_done(replica)
            site.service.wait_ready()

        try:
            await asyncio.to_thread(before)
            await way.blackhole()  # nothing more reaches the replica
            await asyncio.to_thread(while_it_lags)
            primary.kill()
            await way.reset()
            address.switch(("127.0.0.1", replica.port))
            await asyncio.to_thread(after)
            known = replica.ask("EXISTS", *replica.ask("KEYS", "*:case:reached"), "none")
            if min_replicas:
                assert site.blocked() == ["almost", "reached"]
                assert known == 1
            else:
                # Five people's reports were accepted, and one of them is gone. The store doesn't know a block
                # that was published.
                assert site.blocked() == ["reached"]
                assert known == 0
                # The cure: what is sent again counts where it was lost, and nowhere twice.
                await asyncio.to_thread(site.report, "almost", 1, 2, 3, 4, 5)
                await asyncio.to_thread(site.wait_done, replica)
                assert site.blocked() == ["almost", "reached"]
        finally:
            await asyncio.to_thread(site.service.stop)
