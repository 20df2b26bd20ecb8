"""How tests wait for a condition, or watch that it stays true."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

T = TypeVar("T")


def wait_until(predicate: Callable[[], T], description: str, timeout: float = 10.0) -> T:
    """Polls until the predicate is true, and returns its value; AssertionError after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        if value := predicate():
            return value
        assert time.monotonic() < deadline, f"not within {timeout:g} s: {description}"
        time.sleep(0.01)


def stays_true_for(predicate: Callable[[], object], seconds: float, description: str) -> None:
    """Polls for that long, at its end too; AssertionError as soon as the predicate is not true.

    For what must not happen. What must happen is awaited with `wait_until`.
    """
    end = time.monotonic() + seconds
    while True:
        ended = time.monotonic() >= end
        assert predicate(), f"not for {seconds:g} s: {description}"
        if ended:
            return
        time.sleep(0.01)


async def stays_true_for_async(predicate: Callable[[], object], seconds: float, description: str) -> None:
    """As `stays_true_for`, for a plain or an async predicate, without holding up the event loop."""
    end = time.monotonic() + seconds
    while True:
        ended = time.monotonic() >= end
        result = predicate()
        if inspect.isawaitable(result):
            result = await result
        assert result, f"not for {seconds:g} s: {description}"
        if ended:
            return
        await asyncio.sleep(0.01)


@overload
async def wait_until_async(
    predicate: Callable[[], Awaitable[T]],
    description: str,
    timeout: float = ...,  # noqa: ASYNC109 - it names the failure, which asyncio.timeout can't
) -> T: ...
@overload
async def wait_until_async(
    predicate: Callable[[], T],
    description: str,
    timeout: float = ...,  # noqa: ASYNC109 - see above
) -> T: ...
async def wait_until_async(
    predicate: Callable[[], object],
    description: str,
    timeout: float = 10.0,  # noqa: ASYNC109 - see above
) -> object:
    """As `wait_until`, for a plain or an async predicate, without holding up the event loop.

    An awaited predicate that hangs counts against the timeout, too.
    """
    limit = asyncio.timeout(timeout)
    try:
        async with limit:
            while True:
                result = predicate()
                if inspect.isawaitable(result):
                    result = await result
                if result:
                    return result
                await asyncio.sleep(0.01)
    except TimeoutError:
        if not limit.expired():  # the predicate's own
            raise
        raise AssertionError(f"not within {timeout:g} s: {description}") from None
