"""How a call to any broker is bounded: in time, in size, and in the errors that it raises."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TypeVar

from image_moderation.domain.errors import BrokerUnavailable
from image_moderation.domain.outage import explain

TIMEOUT = 5.0
"""Seconds that a broker may take to answer one call."""

T = TypeVar("T")

Errors = Callable[[], AbstractContextManager[None]]
"""Raises a client library's errors as BrokerUnavailable; each broker's `connection` makes its own."""


async def within(call: Awaitable[T], seconds: float = TIMEOUT) -> T:
    """Wait for a call that has no time limit of its own.

    Raises:
        TimeoutError: it took longer than `seconds`.
    """
    async with asyncio.timeout(seconds):
        return await call


def chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Give `items` in order, at most `size` at a time."""
    for first in range(0, len(items), size):
        yield items[first : first + size]


@contextmanager
def unavailable_on(
    *kinds: type[BaseException], explain: Callable[[BaseException], str] = explain
) -> Iterator[None]:
    """Raise these errors as BrokerUnavailable: the server, or the way to it, gave no result."""
    try:
        yield
    except kinds as error:
        raise BrokerUnavailable(explain(error)) from error
