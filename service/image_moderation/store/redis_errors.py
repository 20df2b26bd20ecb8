"""Turns the errors of redis-py and of the connection into StoreUnavailable, the one error of the store."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisClusterException, RedisError

from image_moderation.domain.errors import StoreUnavailable


@asynccontextmanager
async def errors() -> AsyncIterator[None]:
    """Raise StoreUnavailable in place of any error of redis-py or of the connection."""
    try:
        yield
    except (RedisConnectionError, TimeoutError, OSError, RedisClusterException) as error:
        # RedisClusterException: no node of a Cluster answers. It is not a RedisError.
        raise StoreUnavailable(f"can't be reached: {error}") from error
    except RedisError as error:
        raise StoreUnavailable(f"refuses: {error}") from error
