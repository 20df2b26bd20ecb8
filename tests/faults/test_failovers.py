"""A failover behind one address: new connections reach another server, open ones stay with the old primary,
which is a replica now and refuses what is written.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from image_moderation.brokers.redis import open_client
from image_moderation.domain.errors import BrokerUnavailable
from image_moderation.domain.message import Outgoing
from image_moderation.embedded import EmbeddedRedis
from tests.support.outcome import make_sample, send, wait_done, wrong
from tests.support.proxy import FaultProxy
from tests.support.servers import RedisServers
from tests.support.service_process import ServiceProcess
from tests.support.waiting import wait_until, wait_until_async

QUICK = {"REDELIVER_AFTER": "300"}


@pytest.fixture
def pair(
    engine: str, redis_servers: RedisServers, tmp_path: Path
) -> Iterator[tuple[EmbeddedRedis, EmbeddedRedis]]:
    """A primary and its replica, each a server of its own."""
    with (
        redis_servers.new(tmp_path / "first", engine=engine) as first,
        redis_servers.new(tmp_path / "second", engine=engine) as second,
    ):
        with redis.Redis.from_url(first.url) as client:
            client.config_set("repl-diskless-sync-delay", 0)
        with redis.Redis.from_url(second.url) as client:
            client.replicaof("127.0.0.1", first.port)
            wait_until(lambda: replication(client)["master_link_status"] == "up", "the replica is in step")
        yield first, second


@pytest.fixture
async def proxy(pair: tuple[EmbeddedRedis, EmbeddedRedis]) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(pair[0].socket_path) as proxy:
        yield proxy


def replication(client: Any) -> dict[str, Any]:
    return dict(client.info("replication"))


def fail_over(pair: tuple[EmbeddedRedis, EmbeddedRedis], proxy: FaultProxy) -> None:
    """Swap the roles as an orderly failover does: no write is accepted that the new primary doesn't have."""
    old, new = pair
    with redis.Redis.from_url(old.url) as was, redis.Redis.from_url(new.url) as becomes:
        was.client_pause(10_000, all=False)
        offset = replication(was)["master_repl_offset"]
        wait_until(lambda: replication(becomes)["slave_repl_offset"] >= offset, "the replica has everything")
        becomes.replicaof("NO", "ONE")
        proxy.switch(new.socket_path)
        was.replicaof("127.0.0.1", new.port)
        was.client_unpause()
        wait_until(lambda: replication(was)["role"] == "slave", "the old primary is a replica")


@pytest.mark.parametrize(("engine", "store_alone"), [("valkey", False), ("redis", True)])
async def test_after_a_failover_behind_one_address_everything_goes_on(
    pair: tuple[EmbeddedRedis, EmbeddedRedis],
    proxy: FaultProxy,
    redis_url: str,
    tmp_path: Path,
    store_alone: bool,
) -> None:
    messages, expected = make_sample(600)
    new_primary = redis.Redis.from_url(pair[1].url)
    env = {"MODERATION_BROKER_URL": redis_url if store_alone else proxy.url, **QUICK}
    if store_alone:
        env["MODERATION_STORE_URL"] = proxy.url

    def run(service: ServiceProcess) -> None:
        before = redis.Redis.from_url(redis_url if store_alone else pair[0].url)
        send(before, messages[:300])
        wait_done(before, redis.Redis.from_url(pair[0].url))
        fail_over(pair, proxy)
        after = before if store_alone else new_primary
        send(after, messages[300:])
        wait_done(after, new_primary)
        service.wait_ready()
        assert wrong(after, expected) == []
        assert not [one for one in service.events() if one["event"] == "reader_restarted"]

    service = await asyncio.to_thread(
        ServiceProcess(tmp_path, env, module="tests.support.failing_service").start
    )
    try:
        await asyncio.to_thread(run, service)
    finally:
        await asyncio.to_thread(service.stop)


REFUSALS = {
    "READONLY": ("replicaof 127.0.0.1 1",),
    "MASTERDOWN": ("config set replica-serve-stale-data no", "replicaof 127.0.0.1 1"),
    "NOREPLICAS": ("config set min-replicas-to-write 1",),
}
"""What makes a server refuse an event in each way."""


@pytest.mark.parametrize("refusal", REFUSALS)
async def test_a_publisher_leaves_a_server_that_is_not_the_primary_any_more(
    redis_servers: RedisServers, redis_url: str, tmp_path: Path, refusal: str
) -> None:
    event = [Outgoing("image.reported", b"{}", "1", "img-42")]
    with redis_servers.new(tmp_path / "old") as old:
        async with FaultProxy(old.socket_path) as proxy, open_client(proxy.url, "") as client:
            await client.publish(event)
            with redis.Redis.from_url(old.url) as operator:
                for command in REFUSALS[refusal]:
                    operator.execute_command(*command.split())
            with pytest.raises(BrokerUnavailable):
                await client.publish(event)
            proxy.switch(redis_url.removeprefix("unix://"))
            connections = proxy.accepted

            async def published() -> bool:
                try:
                    return bool(await client.publish(event))
                except BrokerUnavailable:
                    return False

            await wait_until_async(published, "it is published")
            assert proxy.accepted == connections + 1
    with redis.Redis.from_url(redis_url) as new:
        assert new.xlen("image.reported") == 1
