"""What redis-py and the way to the server raise, as the one error of the store."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisClusterException, RedisError

from image_moderation.domain.errors import StoreUnavailable


@asynccontextmanager
async def errors() -> AsyncIterator[None]:
    """Whatever the server or the way to it answers instead of a result is the store being away."""
    try:
        yield
    except (RedisConnectionError, TimeoutError, OSError, RedisClusterException) as error:
        # The last is a Cluster's, none of whose nodes answers; it is no RedisError.
        raise StoreUnavailable(f"can't be reached: {error}") from error
    except RedisError as error:
        raise StoreUnavailable(f"refuses: {error}") from error
