"""Whether a Redis may be used as the store, looked at before the first report."""

from typing import Any

import structlog
from redis.exceptions import ResponseError

from service.domain.errors import Misconfigured
from service.redis_connection import Client

OLDEST = (6, 2)

log = structlog.get_logger(__name__)


async def check_server(redis: Client) -> None:
    """Refuse a server that may lose cases while it runs; warn of one that loses them when it restarts.

    Raises:
        Misconfigured: it may evict keys, or is too old.
        redis.exceptions.RedisError: call again.
    """
    for node in _nodes(await redis.info()):
        _check(node)
    if await _persists_nothing(redis):
        log.warning(
            "store_persists_nothing",
            advice="a restart of the store forgets every report; set appendonly yes",
        )


def _nodes(info: dict[str, Any]) -> list[dict[str, Any]]:
    """One server answers with its figures, a Cluster with those of each node."""
    return [info] if "redis_version" in info else list(info.values())


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
        config = await redis.config_get("appendonly", "save")
    except ResponseError:
        return False  # managed servers forbid CONFIG, and look after persistence themselves
    return config.get("appendonly") == "no" and not config.get("save")
