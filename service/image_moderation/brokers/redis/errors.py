"""What redis-py and the way to the server raise, as the one error of the broker."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.exceptions import RedisError

from image_moderation.domain.errors import BrokerUnavailable


@asynccontextmanager
async def errors() -> AsyncIterator[None]:
    """Whatever the server or the way to it answers instead of a result is the broker being away."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise BrokerUnavailable(f"{type(error).__name__}: {error}") from error
