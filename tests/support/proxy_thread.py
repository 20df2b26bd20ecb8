"""The fault proxy for tests without an event loop."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Self

from tests.support.proxy import FaultProxy, Target


class ProxyThread:
    """A proxy in a thread of its own; a context manager."""

    def __init__(self, target: Target, rewrite: Callable[[bytes, int], bytes] | None = None) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._arguments = target, rewrite
        self.proxy: FaultProxy

    def __enter__(self) -> Self:
        self._thread.start()

        async def make() -> FaultProxy:
            return await FaultProxy(self._arguments[0], rewrite=self._arguments[1]).__aenter__()

        self.proxy = asyncio.run_coroutine_threadsafe(make(), self._loop).result(10)
        return self

    def __exit__(self, *exception: object) -> None:
        self._do(self.proxy.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def set(self, mode: str, *arguments: Any) -> None:
        """Change its mode, by the name of the method: `set("blackhole", "replies")`."""
        self._do(getattr(self.proxy, mode)(*arguments))

    def _do(self, call: Awaitable[None]) -> None:
        async def run() -> None:
            await call

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)
