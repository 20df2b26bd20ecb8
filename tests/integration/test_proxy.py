"""The fault proxy must fail as it says, or the fault tests would prove nothing."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
import redis.asyncio as aioredis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from image_moderation.embedded import EmbeddedRedis
from tests.support.proxy import FaultProxy
from tests.support.waiting import wait_until_async


@pytest.fixture
async def proxy(redis_server: EmbeddedRedis) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(redis_server.socket_path) as proxy:
        yield proxy


@pytest.fixture
async def client(proxy: FaultProxy) -> AsyncIterator[aioredis.Redis]:
    """Through the proxy, without retries and impatient."""
    async with aioredis.Redis.from_url(proxy.url, retry=Retry(NoBackoff(), 0), socket_timeout=0.3) as client:
        yield client


@pytest.fixture
async def direct(redis_url: str) -> AsyncIterator[aioredis.Redis]:
    async with aioredis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


async def test_passes_large_values_unchanged(client: aioredis.Redis, direct: aioredis.Redis) -> None:
    value = "x" * 1_000_000
    await client.set("large", value, ex=60)
    assert await direct.get("large") == value
    assert await client.get("large") == value.encode()


async def test_a_dropped_reply_is_of_a_command_that_was_applied(
    proxy: FaultProxy, client: aioredis.Redis, direct: aioredis.Redis
) -> None:
    await direct.set("counter", 0, ex=60)
    await proxy.drop_reply_once(b"counter")
    await client.ping()  # not a match: nothing happens
    with pytest.raises(RedisConnectionError):
        await client.incr("counter")
    assert await direct.get("counter") == "1"
    assert proxy.dropped_replies == 1
    assert await client.incr("counter") == 2  # only once


async def test_a_match_may_straddle_two_chunks(proxy: FaultProxy, direct: aioredis.Redis) -> None:
    await proxy.drop_reply_once(b"straddled")
    reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
    writer.write(b"SETEX strad")
    await writer.drain()
    await asyncio.sleep(0.05)
    writer.write(b"dled 60 1\r\n")
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()
    assert await direct.get("straddled") == "1"


async def test_a_script_that_was_not_known_is_not_taken_for_applied(
    proxy: FaultProxy, client: aioredis.Redis, direct: aioredis.Redis
) -> None:
    script = client.register_script("return redis.call('SET', KEYS[1], 'set', 'EX', 60)")
    await proxy.drop_reply_once(b"scripted")
    with pytest.raises(RedisConnectionError):
        await script(keys=["scripted"])  # NOSCRIPT goes through; the second try is applied, its reply lost
    assert await direct.get("scripted") == "set"


async def test_a_blackhole_holds_what_was_sent(
    proxy: FaultProxy, client: aioredis.Redis, direct: aioredis.Redis
) -> None:
    await client.ping()
    await proxy.blackhole()
    with pytest.raises(RedisTimeoutError):
        await client.set("late", "yes", ex=60)
    assert await direct.get("late") is None
    await proxy.pass_through()
    await client.ping()

    async def arrived() -> bool:
        return await direct.get("late") == "yes"

    await wait_until_async(arrived, "the held command has arrived, late")


async def test_delay_is_at_least_what_was_asked(proxy: FaultProxy, client: aioredis.Redis) -> None:
    await client.ping()
    await proxy.delay(0.1)
    before = time.monotonic()
    await client.ping()
    assert time.monotonic() - before >= 0.1


@pytest.mark.parametrize("mode", ["reset", "refuse"])
async def test_reset_and_refuse_end_connections_and_recover(
    mode: str, proxy: FaultProxy, client: aioredis.Redis
) -> None:
    await client.ping()
    port, accepted = proxy.port, proxy.accepted
    await (proxy.reset() if mode == "reset" else proxy.refuse())
    assert proxy.connections == 0
    for _ in range(2):  # the connection there was, and a new one
        with pytest.raises(RedisConnectionError):
            await client.ping()
    assert (proxy.accepted > accepted) == (mode == "reset")
    await proxy.pass_through()
    assert proxy.port == port
    assert await client.ping()
