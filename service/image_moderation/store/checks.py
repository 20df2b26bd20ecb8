"""Checks, before the first report, that a Redis server may be used as the store."""

from asyncio import gather
from collections.abc import Callable
from typing import Any

import structlog
from redis.asyncio.cluster import RedisCluster
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoPermissionError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from image_moderation.domain.errors import Misconfigured
from image_moderation.redis_connection import Client, is_refused

OLDEST = (6, 2)

_MAY_EVICT = "see to it yourself that it is 6.2 or newer with maxmemory-policy noeviction, or grant +info"
_MAY_FORGET = "see to it yourself that it has appendonly yes, or grant +config|get"

log = structlog.get_logger(__name__)


async def check_server(redis: Client) -> None:
    """Refuse a server that may lose cases while it runs; warn of one that loses them when it restarts.

    Where the user may not run INFO or CONFIG this says so and checks nothing.

    Raises:
        Misconfigured: it may evict keys, or is too old.
        redis.exceptions.RedisError: call again.
    """
    for info in await _checking(redis, "INFO", hint=_MAY_EVICT, replicas=True):
        _check(info)
    # Two questions: Redis 6.2 takes one pattern at a time.
    files = await _checking(redis, "CONFIG GET", "appendonly", hint=_MAY_FORGET)
    snapshots = await _every_node(redis, "CONFIG GET", "save") if files else []
    nodes = zip(files, snapshots, strict=True)
    if any(file.get("appendonly") == "no" and not snapshot.get("save") for file, snapshot in nodes):
        log.warning(
            "store_persists_nothing",
            hint="a restart of the store forgets every report; set appendonly yes",
        )


async def clock_offset(redis: Client, clock: Callable[[], int]) -> int:
    """Return by how many milliseconds this process's clock is ahead of the store's, negative if behind.

    Less than the truth by what the question took, so that a slow answer raises no alarm. Of the
    primaries of a Cluster the one that differs most.

    Raises:
        redis.exceptions.RedisError: call again.
    """
    before = clock()
    answers = await _every_node(redis, "TIME")
    after = clock()
    offsets: list[int] = []
    for seconds, microseconds in answers:
        store = seconds * 1000 + microseconds // 1000
        offsets.append(max(before - store, 0) or min(after - store, 0))
    return max(offsets, key=abs)


async def _checking(redis: Client, *command: str, hint: str, replicas: bool = False) -> list[dict[str, Any]]:
    """Return what `_every_node` does; none where the user may not ask, or a managed server forbids it."""
    try:
        return await _every_node(redis, *command, replicas=replicas)
    except (ResponseError, NoPermissionError) as error:
        if not is_refused(error):
            raise
        log.warning("store_not_checked", command=command[0], hint=hint)
        return []


async def _every_node(redis: Client, *command: str, replicas: bool = False) -> list[Any]:
    """Return the answer of the one server, or of every primary of a Cluster, which otherwise asks any one.

    With `replicas` also theirs, but of those that don't answer: they may be away, and nothing waits for them.
    """
    execute: Any = redis.execute_command  # untyped in redis-py
    if not isinstance(redis, RedisCluster):
        return [await execute(*command)]
    await redis.initialize()
    # Node by node: of several at once the client gives a dictionary, but of one its bare answer.
    answers: list[Any] = list(
        await gather(*(execute(*command, target_nodes=node) for node in redis.get_primaries()))
    )
    if replicas:
        more = (execute(*command, target_nodes=node) for node in redis.get_replicas())
        found = await gather(*more, return_exceptions=True)
        answers += [one for one in found if not isinstance(one, (RedisConnectionError, RedisTimeoutError))]
        failed = next((one for one in answers if isinstance(one, BaseException)), None)
        if failed is not None:
            raise failed
    return answers


def _check(info: dict[str, Any]) -> None:
    version = tuple(int(part) for part in str(info["redis_version"]).split(".")[:2])
    if version < OLDEST:
        raise Misconfigured(f"the store is Redis {info['redis_version']}; takes 6.2 or newer, or Valkey")
    if info.get("maxmemory") and info.get("maxmemory_policy") != "noeviction":
        raise Misconfigured(
            f"the store may evict cases: maxmemory-policy is {info['maxmemory_policy']}; takes noeviction"
        )
