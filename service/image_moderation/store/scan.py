"""Reads all cases, and removes single ones: for operators, while the service runs.

SCAN and pipelined GETs read one page at a time, so that the service's own calls come in between.
"""

import struct
from collections.abc import AsyncIterator, Callable
from typing import Any

from redis.asyncio.cluster import RedisCluster
from redis.exceptions import ResponseError

from image_moderation.domain.case import Case
from image_moderation.domain.clock import MOST_CLOCK_SKEW
from image_moderation.domain.decision import State
from image_moderation.redis_connection import Client
from image_moderation.store import lua
from image_moderation.store.arguments import ForgetArguments
from image_moderation.store.keys import Keys, partition_of
from image_moderation.store.layout import decode
from image_moderation.store.redis_errors import errors

PAGE = 1000
"""Keys that the server scans in one call, and the most cases that are read at once."""

Progress = Callable[[int, int], None]
"""Called with about how many keys were scanned so far, and how many there were at the start."""


class CaseScan:
    """The cases of every partition, on every node."""

    def __init__(self, redis: Client, prefix: str) -> None:
        """`redis` stays the caller's to close."""
        self._redis = redis
        self._keys = Keys(prefix)
        self.unreadable = 0
        """How many keys had the name of a case and a value that this version can't read."""

    async def blocked(
        self, since_ms: int | None = None, progress: Progress = lambda _scanned, _total: None
    ) -> AsyncIterator[tuple[str, Case]]:
        """Yield each blocked image once with its case, in no order.

        With `since_ms` (milliseconds) only those decided at that time or later. A case that exists during the
        whole scan is found; one that appears or goes meanwhile may be found or not.

        Raises:
            StoreUnavailable: begin again.
        """
        async for image_id, case in self.decided(since_ms, progress):
            if case.state is State.BLOCKED:
                yield image_id, case

    async def decided(
        self, since_ms: int | None = None, progress: Progress = lambda _scanned, _total: None
    ) -> AsyncIterator[tuple[str, Case]]:
        """Yield each image that has had a decision, once, with its case. See `blocked`."""
        given: set[str] = set()
        async for image_id, case in self.cases(progress):
            if case.revision and case.decided_at >= (since_ms or 0) and image_id not in given:
                given.add(image_id)
                yield image_id, case

    async def cases(
        self, progress: Progress = lambda _scanned, _total: None
    ) -> AsyncIterator[tuple[str, Case]]:
        """Yield every image that has a case; an image may come twice, because SCAN may name a key twice."""
        async for page in self._pages(progress):
            for pair in await self._read(page):
                yield pair

    async def case(self, image_id: str) -> Case:
        """Return one image's case.

        Raises:
            StoreUnavailable: call again.
        """
        key = self._keys.case(image_id.encode())
        return next((case for _, case in await self._read([key])), Case())

    async def forget(self, image_id: str) -> bool:
        """Remove an image's case, its withheld block and its unanswered review; return whether it had a case.

        The time of its latest decision stays for as long as two replicas' clocks may differ, so that the next
        decision is later. Decisions that were taken and not yet published stay in the outbox, because they
        are promised. Repeating is safe.

        Raises:
            StoreUnavailable: it may be removed, or not; call again.
        """
        image = image_id.encode()
        partition = partition_of(image)
        keys = (self._keys.case(image), self._keys.due[partition], self._keys.reviews[partition])
        arguments = ForgetArguments(image=image_id, remembered=2 * MOST_CLOCK_SKEW)
        async with errors():
            [removed] = await lua.run(self._redis, [lua.FORGET.command(keys, arguments)])
        return bool(removed)

    async def _pages(self, progress: Progress) -> AsyncIterator[list[bytes]]:
        """Yield the keys of cases, as many at a time as one SCAN finds."""
        scan: Any = self._redis.scan  # untyped for a Cluster in redis-py
        nodes = await self._nodes()
        total = sum([await self._size(node) for node in nodes])
        scanned = 0
        for node in nodes:
            cursor = -1
            while cursor:
                async with errors():
                    reply = await scan(max(cursor, 0), match=self._keys.any_case, count=PAGE, **node)
                # A Cluster answers with a dictionary that has a cursor for each node, here for one.
                cursor, keys = reply
                if isinstance(cursor, dict):
                    (cursor,) = cursor.values()
                scanned = min(scanned + PAGE, total)
                progress(scanned, total)
                for start in range(0, len(keys), PAGE):
                    yield keys[start : start + PAGE]
        progress(total, total)

    async def _nodes(self) -> list[dict[str, Any]]:
        """Return the arguments that send a command to each node in turn; none for one server."""
        if not isinstance(self._redis, RedisCluster):
            return [{}]
        async with errors():
            await self._redis.initialize()
        return [{"target_nodes": node} for node in self._redis.get_primaries()]

    async def _size(self, node: dict[str, Any]) -> int:
        dbsize: Any = self._redis.dbsize  # untyped in redis-py
        async with errors():
            return int(await dbsize(**node))

    async def _read(self, keys: list[bytes]) -> list[tuple[str, Case]]:
        """Return the cases in these keys, without those that are gone and those that can't be read."""
        wanted = [(key, image) for key in keys if (image := self._image_of(key))]
        if not wanted:
            return []
        async with errors():
            pipeline: Any = self._redis.pipeline(transaction=False)
            for key, _ in wanted:
                pipeline.get(key)
            values: list[Any] = await pipeline.execute(raise_on_error=False)
            for value in values:
                if isinstance(value, Exception) and not _is_another_type(value):
                    raise value
        cases: list[tuple[str, Case]] = []
        for (_, image), value in zip(wanted, values, strict=True):
            if value is None:
                continue
            try:
                cases.append((image.decode(), decode(value)))
            except (struct.error, ValueError, IndexError, TypeError):
                self.unreadable += 1
        return cases

    def _image_of(self, key: bytes) -> bytes:
        """Return the image whose case the key holds; empty for another key that fits the pattern."""
        image = key[len(self._keys.case_prefixes[0]) :]
        return image if key == self._keys.case(image) else b""


def _is_another_type(error: Exception) -> bool:
    return isinstance(error, ResponseError) and str(error).startswith("WRONGTYPE")
