"""No reporter can be read from the store."""

from collections.abc import Awaitable
from typing import Any, cast

from image_moderation.redis_connection import Client
from tests.support.histories import report, retraction
from tests.support.store_backends import IN_REDIS, KEY, Backend, Store


@IN_REDIS
async def test_nothing_stored_tells_who_reported(client: Client, backend: Backend, store: Store) -> None:
    secrets = ["alice@example.org", "bob@example.org", "carol@example.org", "device-cluster-77"]
    alice, bob, carol, device = secrets
    await store.apply([report(alice, 1, reason="spam", group=device), retraction(bob, 2), report(alice, 3)])
    applied = await store.apply([report(carol, 4, image="b", group=device), report(bob, 4, image="b")])
    assert len(applied.entries) == 1
    assert not any(secret.encode() in applied.entries[0].token for secret in secrets)
    found = b""
    async for key in client.scan_iter(count=1000):
        assert isinstance(key, bytes)
        value: Any
        if await client.type(key) == b"zset":
            value = b"".join(await cast("Awaitable[list[bytes]]", client.zrange(key, 0, -1)))
        else:
            value = await client.get(key)
        found += key + value
        # As it lies in memory; compressed perhaps, so what it holds was looked at above.
        found += await client.dump(key) or b""
    assert b"spam" in found
    assert KEY not in found
    assert KEY.hex().encode() not in found
    for secret in secrets:
        assert secret.encode() not in found
