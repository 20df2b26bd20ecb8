"""The life of one replica: start, serve, drain."""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

from image_moderation import __version__
from image_moderation.brokers.port import Transport
from image_moderation.domain.errors import Unavailable
from image_moderation.intake.intake import Intake
from image_moderation.loops import Loop, sleep
from image_moderation.redis_connection import Client, close
from image_moderation.store.redis_store import RedisStore
from image_moderation.telemetry.health import DRAINING, Health
from image_moderation.telemetry.server import HttpServer
from image_moderation.telemetry.tracing import Tracing

RETRY_DELAY = 1.0
"""Seconds between attempts to reach a server at the start."""

LAST_ROUND = 1.0
"""Seconds that the loops may take to end by themselves once the replica is asked to stop."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Replica:
    """The running parts of one process, which `app.build` joins."""

    consumer: str
    """This process's name in the consumer group."""
    shutdown_timeout: float
    """Seconds that batches in hand may take to finish once the replica is asked to stop."""
    store_client: Client
    store: RedisStore
    transport: Transport
    intake: Intake
    loops: Sequence[Loop]
    health: Health
    http: HttpServer
    tracing: Tracing

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set, then drain. Wait for a server that is away, also at the start.

        Raises:
            Misconfigured: a server must not be used as it is configured.
            CannotListen: the HTTP address can't be bound.
        """
        await self.http.start()
        try:
            if await self._start(stop):
                await self._serve(stop)
        finally:
            await self.http.stop()
            await close(self.store_client)
            await asyncio.to_thread(self.tracing.stop)

    async def _start(self, stop: asyncio.Event) -> bool:
        """Open the store and then the transport; return False if `stop` was set meanwhile."""
        await self._until_started("store", self.store.open, stop)
        await self._until_started("broker", lambda: self.transport.start(self.intake.process), stop)
        if stop.is_set():
            return False
        _collect_garbage_less_often()
        log.info("started", version=__version__, consumer=self.consumer)
        return True

    async def _until_started(
        self, check: str, start: Callable[[], Awaitable[None]], stop: asyncio.Event
    ) -> None:
        while not stop.is_set():
            try:
                await start()
            except Unavailable as error:
                self.health.set(check, ok=False, why=str(error))
                await sleep(RETRY_DELAY, stop)
            else:
                return

    async def _serve(self, stop: asyncio.Event) -> None:
        """Run the loops until `stop` is set or one of them fails, then drain."""
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(loop.run(stop)) for loop in self.loops]
                await stop.wait()
                # A round that has begun publishes what it decided, unless a server is away.
                await asyncio.wait(tasks, timeout=LAST_ROUND)
                for task in tasks:
                    task.cancel()
        except* Exception as failures:  # noqa: BLE001 - raised again once drained
            await self._drain()
            raise failures.exceptions[0] from None
        await self._drain()

    async def _drain(self) -> None:
        log.info("draining")
        self.health.set("intake", ok=False, why=DRAINING)
        await self.transport.stop(self.shutdown_timeout)
        log.info("stopped")


def _collect_garbage_less_often() -> None:
    """Make the garbage collector run less often, and skip the objects that were made at the start.

    A batch is thousands of small tuples that reference counting frees; searching them for cycles took a tenth
    of the time. What the start left for the collector is little, so it isn't looked for.
    """
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
