"""Distributes events to all open pages.

Imports only the standard library.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class Hub(Generic[T]):
    """Passes each published item to all current listeners, in order. For one event loop."""

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
        # Unbounded: the response's send timeout disconnects a reader that reads nothing.
        queue: asyncio.Queue[T] = asyncio.Queue()
        with self.listen(queue.put_nowait):
            yield queue

    def publish(self, item: T) -> None:
        for listener in list(self._listeners):
            listener(item)
