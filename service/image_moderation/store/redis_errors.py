"""Turns the errors of redis-py and of the connection into StoreUnavailable, the one error of the store."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.exceptions import RedisClusterException, RedisError

from image_moderation.domain.errors import StoreUnavailable
from image_moderation.domain.outage import explain
from image_moderation.redis_connection import needed_grants


@asynccontextmanager
async def errors() -> AsyncIterator[None]:
    """Raise StoreUnavailable in place of any error of redis-py or of the connection."""
    try:
        yield
    except (RedisError, OSError, RedisClusterException) as error:
        # RedisClusterException: no node of a Cluster answers. It is not a RedisError.
        raise StoreUnavailable(f"{explain(error)}{needed_grants(error)}") from error
