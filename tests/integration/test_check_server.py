"""Which servers may be the store."""

from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from image_moderation.domain.clock import MOST_CLOCK_SKEW
from image_moderation.domain.errors import Misconfigured, StoreUnavailable
from image_moderation.domain.policy import Policy
from image_moderation.redis_connection import connect
from image_moderation.store.checks import check_server
from image_moderation.store.redis_store import Lifetimes, RedisStore
from image_moderation.wiring import clock
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
