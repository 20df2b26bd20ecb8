"""Hands what happens on to everyone who has a page open.

Imports the standard library alone.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class Hub(Generic[T]):
    """Each listener gets what is published from then on, in order. For one event loop."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[T], None]] = []

    @contextmanager
    def listen(self, listener: Callable[[T], None]) -> Iterator[None]:
        self._listeners.append(listener)
        try:
            yield
        finally:
            self._listeners.remove(listener)

    @contextmanager
    def subscribe(self) -> "Iterator[asyncio.Queue[T]]":
        # Without a limit: a reader that takes nothing for long is cut off by the response's send timeout.
        queue: asyncio.Queue[T] = asyncio.Queue()
        with self.listen(queue.put_nowait):
            yield queue

    def publish(self, item: T) -> None:
        for listener in list(self._listeners):
            listener(item)
