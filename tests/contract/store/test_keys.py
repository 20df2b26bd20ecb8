"""The keys in Redis: their names, their TTLs, and servers that may not keep them."""

from typing import Any
from zlib import crc32

import pytest
from redis.asyncio.cluster import RedisCluster

from image_moderation.domain.errors import Misconfigured
from image_moderation.domain.report import Verdict
from image_moderation.redis_connection import Client
from image_moderation.store.redis_store import LATE_DELIVERY
from tests.support.case_values import case_key
from tests.support.histories import BASE, report, retraction
from tests.support.store_backends import (
    DECIDED_LIFE,
    IN_A_CLUSTER,
    IN_REDIS,
    ODD_IDS,
    WINDOW,
    Backend,
    Store,
    review,
    two_reports,
)


async def expiry(client: Client, key: bytes) -> int:
    """When a key expires, to some milliseconds: Redis 6.2 has no PEXPIRETIME."""
    script = "local t = redis.call('TIME') return {redis.call('PTTL', KEYS[1]), t[1], t[2]}"
    left, seconds, microseconds = await client.eval(script, 1, key)
    return int(left) + int(seconds) * 1000 + int(microseconds) // 1000


@IN_REDIS
async def test_keys_are_named_as_agreed(client: Client, store: Store) -> None:
    await store.apply([one for image in ODD_IDS for one in two_reports(image)])
    await store.apply([report("user-1", 1, image="open")])
    keys = {key async for key in client.scan_iter(count=1000)}
    cases = {case_key(image) for image in [*ODD_IDS, "open"]}
    outboxes = {case_key(image)[:17] + b"outbox" for image in ODD_IDS}
    assert keys == cases | outboxes | {b"moderation:reporter-key"}
    assert case_key("img-42").startswith(b"moderation:{p25}:case:") is (crc32(b"img-42") % 64 == 25)


@IN_REDIS
async def test_cases_expire_by_the_services_clock(client: Client, backend: Backend, store: Store) -> None:
    open_until, decided_until = BASE + WINDOW + LATE_DELIVERY, BASE + DECIDED_LIFE
    await store.apply([report("user-1", 1, image="open"), *two_reports("blocked")])
    assert await expiry(client, case_key("open")) == pytest.approx(open_until, abs=10)
    assert await expiry(client, case_key("blocked")) == pytest.approx(decided_until, abs=10)
    backend.now = BASE + 1_000
    await store.apply([report("user-1", 1, image="open"), report("user-1", 1, image="blocked")])
    assert await expiry(client, case_key("open")) == pytest.approx(open_until, abs=10)
    assert await expiry(client, case_key("blocked")) == pytest.approx(decided_until, abs=10)
    await store.apply([retraction("user-9", 5, image="open")])
    assert await expiry(client, case_key("open")) == pytest.approx(open_until + 1_000, abs=10)


@IN_REDIS
async def test_a_decided_case_never_expires_before_an_open_one(client: Client, backend: Backend) -> None:
    store = backend.redis_store(decided=1)
    await store.open()
    await store.apply(two_reports())
    assert await expiry(client, case_key("img-42")) == pytest.approx(BASE + WINDOW + LATE_DELIVERY, abs=10)


@IN_REDIS
async def test_options_that_are_off_cost_no_key(store: Store, client: Client) -> None:
    await store.apply([report("user-1", 1), report("user-2", 2), review("b", 3, Verdict.CLEARED)])
    keys: Any = [key async for key in client.scan_iter(match="moderation:*")]
    kinds = {key.decode().split(":")[2 if b"{" in key else 1] for key in keys}
    assert kinds == {"case", "outbox", "reporter-key"}


@IN_A_CLUSTER
async def test_one_node_that_evicts_is_enough_to_refuse_a_cluster(client: Client, backend: Backend) -> None:
    assert isinstance(client, RedisCluster)
    await backend.redis_store().open()
    node = client.get_primaries()[-1]

    async def limit(size: str, policy: str) -> None:
        await client.execute_command(
            "CONFIG SET", "maxmemory", size, "maxmemory-policy", policy, target_nodes=node
        )

    await limit("100mb", "allkeys-lru")
    try:
        with pytest.raises(Misconfigured, match="may evict cases"):
            await backend.redis_store().open()
    finally:
        await limit("0", "noeviction")
