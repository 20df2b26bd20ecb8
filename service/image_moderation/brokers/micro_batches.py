"""Batches for clients that hand over one message at a time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar, cast

T = TypeVar("T")

GATHERING = 0.005
"""Seconds that a batch which is not full waits for more: messages arrive one by one, and a call of the store
for every few of them costs ten times what they do.
"""


class MicroBatches(Generic[T]):
    """Gathers what arrives within a moment, and while earlier batches are worked on."""

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
        try:
            await self._work_off()
        finally:
            # At once: a callback comes a moment later, in which `add` would count on a worker that is gone.
            self._workers.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _work_off(self) -> None:
        while self._waiting:
            if len(self._waiting) < self._most:
                await asyncio.sleep(GATHERING)
            batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
            if not batch:  # the other worker was faster
                return
            self._working += len(batch)
            try:
                await self._work(batch)
            finally:
                self._working -= len(batch)

    def keep(self, chosen: Callable[[list[T]], list[T]]) -> None:
        """Give up what waits and isn't chosen."""
        self._waiting = chosen(self._waiting)

    def cancel(self) -> None:
        """Give up what waits and what is worked on."""
        self._waiting.clear()
        for worker in self._workers:
            worker.cancel()
