"""The client library's errors as the one error of the broker."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

from nats.errors import Error, NoServersError

from image_moderation.domain.errors import BrokerUnavailable

PATIENCE = 5.0
"""Seconds that the server may take to answer."""

T = TypeVar("T")


@asynccontextmanager
async def errors(seen: Sequence[Exception] = ()) -> AsyncIterator[None]:
    """Whatever the server or the way to it answers instead of a result is the broker being away.

    `seen` is why, where the error itself is only that nothing came of it.
    """
    try:
        yield
    except (TimeoutError, Error, OSError) as raised:
        error = seen[-1] if seen and isinstance(raised, TimeoutError | NoServersError) else raised
        text = str(error).removeprefix("nats: ") or "no answer in time"
        raise BrokerUnavailable(f"{type(error).__name__}: {text}") from raised


async def within(call: Awaitable[T], seconds: float = PATIENCE) -> T:
    """Wait for a call that might wait for ever; past that it is a TimeoutError."""
    async with asyncio.timeout(seconds):
        return await call
