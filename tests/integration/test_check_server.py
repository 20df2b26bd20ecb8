"""Which servers may be the store."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from image_moderation.domain.clock import MOST_CLOCK_SKEW
from image_moderation.domain.errors import Misconfigured, StoreUnavailable
from image_moderation.domain.policy import Policy
from image_moderation.embedded import EmbeddedRedis
from image_moderation.redis_connection import connect, connect_one
from image_moderation.store.checks import check_server
from image_moderation.store.redis_store import Lifetimes, RedisStore
from image_moderation.store.scan import CaseScan
from image_moderation.wiring import clock
from tests.support.histories import BASE
from tests.support.servers import RedisServers
from tests.support.store_backends import Backend, two_reports
from tests.support.valkey_cluster import ValkeyCluster


async def test_a_server_that_evicts_is_refused(redis_servers: RedisServers, tmp_path: Path) -> None:
    with redis_servers.new(tmp_path / "own") as server:
        redis = connect(server.url)
        try:
            await check_server(redis)
            await redis.config_set("maxmemory-policy", "allkeys-lru")
            await check_server(redis)  # without a limit nothing is evicted
            await redis.config_set("maxmemory", "100mb")
            for policy in ("allkeys-lru", "volatile-ttl"):
                await redis.config_set("maxmemory-policy", policy)
                with pytest.raises(Misconfigured, match=f"may evict cases: maxmemory-policy is {policy}"):
                    await check_server(redis)
                with pytest.raises(Misconfigured):
                    await RedisStore(
                        redis,
                        prefix="moderation",
                        policy=Policy(),
                        lifetimes=Lifetimes(decided=1_000),
                        reporter_key=b"a key for tests",
                        clock=lambda: BASE,
                    ).open()
            await redis.config_set("maxmemory-policy", "noeviction")
            with capture_logs() as logs:
                await check_server(redis)
            assert logs == []
            await redis.config_set("appendonly", "no")
            with capture_logs() as logs:
                await check_server(redis)
            assert [entry["event"] for entry in logs] == ["store_persists_nothing"]
            await redis.config_set("save", "60 1")
            with capture_logs() as logs:
                await check_server(redis)
            assert logs == []
        finally:
            await redis.aclose()
            structlog.reset_defaults()


NOT_DANGEROUS = "on >secret ~* &* +@all -@dangerous"


async def test_a_user_without_the_dangerous_commands_is_enough(any_redis_server: EmbeddedRedis) -> None:
    async with user(any_redis_server, NOT_DANGEROUS) as redis:
        store = Backend("redis", client=redis).redis_store()
        with capture_logs() as logs:
            await store.open()
        assert [(one["event"], one["command"]) for one in logs] == [
            ("store_not_checked", "INFO"),
            ("store_not_checked", "CONFIG GET"),
        ]
        assert len((await store.apply(two_reports())).entries) == 1
        structlog.reset_defaults()


@pytest.mark.parametrize("command", ["time", "get", "set", "evalsha", "zadd", "zcard", "zrem"])
async def test_a_command_that_is_needed_and_refused_is_named(
    any_redis_server: EmbeddedRedis, command: str
) -> None:
    async with user(any_redis_server, f"{NOT_DANGEROUS} -{command}") as redis:
        backend = Backend("redis", client=redis)

        async def work() -> None:
            store = backend.redis_store()
            await store.open()
            await store.check()
            applied = await store.apply(two_reports())
            await backend.outbox().settle(applied.entries)
            await backend.outbox().backlog()

        with pytest.raises(StoreUnavailable, match=rf"(?i)\b{command}\b"):
            await work()


@asynccontextmanager
async def user(server: EmbeddedRedis, rules: str) -> AsyncIterator[Any]:
    """A client of a user with these rules."""
    operator: Any = connect_one(server.url)  # untyped in redis-py
    await operator.execute_command("ACL", "SETUSER", "few", "reset", *rules.split())
    redis = connect_one(server.tcp_url.replace("//", "//few:secret@"))
    try:
        yield redis
    finally:
        await redis.aclose()
        await operator.execute_command("ACL", "DELUSER", "few")
        await operator.aclose()


async def test_a_cluster_of_one_node_is_a_store(redis_servers: RedisServers, tmp_path: Path) -> None:
    """The client gives a bare answer there, where it gives one for each node otherwise."""
    with ValkeyCluster(tmp_path, redis_servers.engine("valkey"), nodes=1) as cluster:
        redis = connect(cluster.url)
        backend = Backend("cluster", cluster.url, client=redis)
        try:
            store, outbox = backend.redis_store(), backend.outbox()
            await store.open()
            await store.check()
            applied = await store.apply(two_reports("img-1") + two_reports("img-2"))
            await outbox.settle(applied.entries)
            assert (await outbox.backlog()).count == 0
            scan = CaseScan(redis, "moderation")
            assert sorted([image async for image, _ in scan.blocked()]) == ["img-1", "img-2"]
            assert await scan.forget("img-1")
        finally:
            await redis.aclose()


@pytest.mark.parametrize("seconds", [-2_592_000, -302, 302])
async def test_a_replica_whose_clock_is_off_does_not_work(any_redis_url: str, seconds: int) -> None:
    off, said = seconds * 1000, list[float]()
    redis = connect(any_redis_url)
    store = RedisStore(
        redis,
        prefix="moderation",
        policy=Policy(),
        lifetimes=Lifetimes(decided=1_000),
        reporter_key=b"a key for tests",
        clock=lambda: clock() + off,
        most_skew=MOST_CLOCK_SKEW,
        on_clock_offset=said.append,
    )
    try:
        where = "ahead of" if seconds > 0 else "behind"
        with pytest.raises(StoreUnavailable, match=f"clock is [0-9]+ s {where} the store's; takes 300 s"):
            await store.open()
        assert said == [pytest.approx(seconds, abs=0.5)]
        off = 299_000 if seconds > 0 else -299_000
        await store.open()
        await store.apply([])
        off = seconds * 1000
        with pytest.raises(StoreUnavailable):
            await store.check()
        with pytest.raises(StoreUnavailable):
            await store.apply([])
        off = 0
        await store.check()
        await store.apply([])
        assert said[-1] == pytest.approx(0, abs=0.5)
    finally:
        await redis.aclose()
