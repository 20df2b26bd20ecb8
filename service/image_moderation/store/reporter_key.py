"""The secret key of the reporter digests: agrees on one for all replicas, and keeps its record.

The record in the store is `fingerprint:<hex>` for a configured key, and `key:<hex>` for one that was
generated, which is then kept there itself.
"""

from collections.abc import Callable
from typing import Any

from image_moderation.domain.errors import Misconfigured
from image_moderation.redis_connection import Client
from image_moderation.store.digests import fingerprint
from image_moderation.store.keys import Keys

_GENERATED, _FINGERPRINT = b"key:", b"fingerprint:"

_UNSET = "MODERATION_REPORTER_KEY: is not set, and the store {found}; takes the key it was written with"
_WITH_ANOTHER = (
    "MODERATION_REPORTER_KEY: is not the key that this store's reporters were digested with; "
    "takes that key (to change it, remove the record {record}; open cases then take people for new ones)"
)


async def agree_on_key(
    redis: Client, keys: Keys, configured: bytes | None, random_bytes: Callable[[int], bytes]
) -> bytes:
    """Return the key that every replica uses, and record it if there is no record yet. Repeating is safe.

    Raises:
        Misconfigured: the store was written with another key, or holds cases and no key is known.
        redis.exceptions.RedisError: call again.
    """
    record: Any = await redis.get(keys.reporter_key)
    if record is None and configured is None:
        if await _holds_cases(redis, keys):
            raise Misconfigured(_UNSET.format(found="holds cases but no key"))
        record = await _record(redis, keys, _GENERATED + random_bytes(32).hex().encode())
    if configured is not None:
        record = record or await _record(redis, keys, _FINGERPRINT + fingerprint(configured))
    if not record.startswith(_GENERATED):
        if configured is None:
            raise Misconfigured(_UNSET.format(found="was written with a configured key"))
        known = record.removeprefix(_FINGERPRINT)
        if fingerprint(configured) != known:
            raise Misconfigured(_WITH_ANOTHER.format(record=keys.reporter_key.decode()))
        return configured
    generated = bytes.fromhex(record.removeprefix(_GENERATED).decode())
    if configured not in (None, generated):
        raise Misconfigured(_WITH_ANOTHER.format(record=keys.reporter_key.decode()))
    return generated


async def keep_record(redis: Client, keys: Keys, key: bytes, *, configured: bool) -> None:
    """Record the key in use again if the store has lost it, so that a later start finds it.

    Raises:
        Misconfigured: another key was recorded meanwhile.
        redis.exceptions.RedisError: call again.
    """
    ours = (_GENERATED + key.hex().encode(), _FINGERPRINT + fingerprint(key))
    if await _record(redis, keys, ours[1] if configured else ours[0]) not in ours:
        raise Misconfigured(_WITH_ANOTHER.format(record=keys.reporter_key.decode()))


async def _record(redis: Client, keys: Keys, proposal: bytes) -> bytes:
    """Store `proposal` if there is no record (SET NX); return the record."""
    await redis.set(keys.reporter_key, proposal, nx=True)
    record: Any = await redis.get(keys.reporter_key)
    return bytes(record or proposal)


async def _holds_cases(redis: Client, keys: Keys) -> bool:
    """Return whether there is any case. May scan the whole keyspace, but only at the very first start."""
    async for _ in redis.scan_iter(match=keys.any_case, count=1000):
        return True
    return False
