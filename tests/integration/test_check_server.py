"""Which servers may be the store."""

from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from image_moderation.domain.errors import Misconfigured
from image_moderation.domain.policy import Policy
from image_moderation.redis_connection import connect
from image_moderation.store.checks import check_server
from image_moderation.store.redis_store import Lifetimes, RedisStore
from tests.support.histories import BASE
from tests.support.servers import RedisServers


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
