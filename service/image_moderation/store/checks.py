"""Checks, before the first report, that a Redis server may be used as the store."""

from collections.abc import Callable
from typing import Any

import structlog
from redis.asyncio.cluster import RedisCluster
from redis.exceptions import ResponseError

from image_moderation.domain.errors import Misconfigured
from image_moderation.redis_connection import Client

OLDEST = (6, 2)

log = structlog.get_logger(__name__)


async def check_server(redis: Client) -> None:
    """Refuse a server that may lose cases while it runs; warn of one that loses them when it restarts.

    Raises:
        Misconfigured: it may evict keys, or is too old.
        redis.exceptions.RedisError: call again.
    """
    for info in await _every_node(redis, "INFO"):
        _check(info)
    if await _persists_nothing(redis):
        log.warning(
            "store_persists_nothing",
            hint="a restart of the store forgets every report; set appendonly yes",
        )


async def clock_offset(redis: Client, clock: Callable[[], int]) -> int:
    """Return by how many milliseconds this process's clock is ahead of the store's, negative if behind.

    Less than the truth by what the question took, so that a slow answer raises no alarm. Of the nodes of a
    Cluster the one that differs most.

    Raises:
        redis.exceptions.RedisError: call again.
    """
    before = clock()
    answers: list[Any] = await _every_node(redis, "TIME")
    after = clock()
    offsets: list[int] = []
    for seconds, microseconds in answers:
        store = seconds * 1000 + microseconds // 1000
        offsets.append(max(before - store, 0) or min(after - store, 0))
    return max(offsets, key=abs)


async def _every_node(redis: Client, *command: str) -> list[dict[str, Any]]:
    """Return the answer of the one server, or of every node of a Cluster, which otherwise asks any one."""
    execute: Any = redis.execute_command  # untyped in redis-py
    if isinstance(redis, RedisCluster):
        answers = await execute(*command, target_nodes=RedisCluster.ALL_NODES)
        return list(answers.values())
    return [await execute(*command)]


def _check(info: dict[str, Any]) -> None:
    version = tuple(int(part) for part in str(info["redis_version"]).split(".")[:2])
    if version < OLDEST:
        raise Misconfigured(f"the store is Redis {info['redis_version']}; takes 6.2 or newer, or Valkey")
    if info.get("maxmemory") and info.get("maxmemory_policy") != "noeviction":
        raise Misconfigured(
            f"the store may evict cases: maxmemory-policy is {info['maxmemory_policy']}; takes noeviction"
        )


async def _persists_nothing(redis: Client) -> bool:
    try:
        configs = await _every_node(redis, "CONFIG GET", "appendonly", "save")
    except ResponseError:
        return False  # managed servers forbid CONFIG, and look after persistence themselves
    return any(config.get("appendonly") == "no" and not config.get("save") for config in configs)
