"""Batches for clients that hand over one message at a time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")

GATHERING = 0.002
"""Seconds that the first of a batch waits for company: what was sent together arrives in pieces."""


class MicroBatches(Generic[T]):
    """Gathers what arrives while earlier batches are worked on; no batch waits to fill up."""

    def __init__(self, work: Callable[[list[T]], Awaitable[object]], *, most: int, at_once: int) -> None:
        """`work` is given up to `most` items, by up to `at_once` calls side by side."""
        self._work = work
        self._most = most
        self._at_once = at_once
        self._waiting: list[T] = []
        self._working = 0
        self._workers: set[asyncio.Task[None]] = set()

    async def add(self, item: T) -> None:
        """Take an item in, and return at once."""
        self._waiting.append(item)
        if len(self._workers) < self._at_once:
            worker = asyncio.create_task(self._run())
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)

    @property
    def held(self) -> int:
        """Items that were taken in and are not done."""
        return len(self._waiting) + self._working

    async def _run(self) -> None:
        await asyncio.sleep(GATHERING)
        while self._waiting:
            batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
            self._working += len(batch)
            try:
                await self._work(batch)
            finally:
                self._working -= len(batch)

    def cancel(self) -> None:
        """Give up what waits and what is worked on."""
        self._waiting.clear()
        for worker in self._workers:
            worker.cancel()
