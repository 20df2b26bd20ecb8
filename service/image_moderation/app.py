"""The composition root: joins the rooms and hands them values. Nothing is built at import."""

import asyncio
import gc
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

import structlog

from image_moderation import __version__
from image_moderation.brokers.port import Options, Transport
from image_moderation.brokers.registry import broker_for
from image_moderation.contracts.asyncapi import document
from image_moderation.domain.errors import BrokerUnavailable, StoreUnavailable, Unavailable
from image_moderation.intake.intake import Intake
from image_moderation.outbox.outbox import BrokerSink, Outbox
from image_moderation.redis_connection import Client, close, connect
from image_moderation.settings import Settings, milliseconds
from image_moderation.store.redis_store import RedisStore
from image_moderation.telemetry.health import Health
from image_moderation.telemetry.http import http_app
from image_moderation.telemetry.metrics import Metrics
from image_moderation.telemetry.server import HttpServer
from image_moderation.telemetry.tracing import Tracing, make_tracing
from image_moderation.wiring import clock, make_store

OUTBOX_PATIENCE = 15.0
"""Seconds that a decision may wait before the outbox counts as unavailable."""
REFUSAL_MEMORY = 60_000
"""Milliseconds that a refused decision may explain why the outbox is old."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class App:
    """The running parts of one replica, from `start` to `stop`."""

    settings: Settings
    store_client: Client
    store: RedisStore
    transport: Transport
    outbox: Outbox
    intake: Intake
    metrics: Metrics
    tracing: Tracing
    health: Health
    http: HttpServer

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop` is set, then drain. A server that is away, also at the start, is waited for.

        Raises:
            Misconfigured: a server must not be used as it is set up.
            OSError: the HTTP address can't be bound.
        """
        await self.http.start()
        try:
            if await self._started(stop):
                await self._serve(stop)
        finally:
            await self.http.stop()
            await close(self.store_client)
            await asyncio.to_thread(self.tracing.stop)

    async def _started(self, stop: asyncio.Event) -> bool:
        """Start each part once its server is there; return False if told to stop meanwhile."""
        parts: tuple[tuple[str, Callable[[], Awaitable[None]]], ...] = (
            ("store", self.store.open),
            ("broker", lambda: self.transport.start(self.intake.process)),
        )
        for name, start in parts:
            while not stop.is_set():
                try:
                    await start()
                    break
                except Unavailable as error:
                    self.health.set(name, ok=False, why=str(error))
                    await _sleep(1, stop)
        if not stop.is_set():
            _spare_the_collector()
            log.info("started", version=__version__, consumer=self.settings.consumer_name)
        return not stop.is_set()

    async def _serve(self, stop: asyncio.Event) -> None:
        loops = (
            (1.0, self._watch_store),
            (1.0, self._watch_broker),
            (1.0, self._watch_readers),
            (1.0, self._sweep),
            (1.0, self._tick),
            (2.0, self._reclaim),
            (5.0, self.transport.tidy),
        )
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(_every(period, call, stop)) for period, call in loops]
                await stop.wait()
                for task in tasks:
                    task.cancel()
        except* Exception as failures:  # noqa: BLE001 - raised again once drained
            # One of the loops met what none of them can mend; the first says why.
            await self._drain()
            raise failures.exceptions[0] from None
        await self._drain()

    async def _drain(self) -> None:
        log.info("draining")
        self.health.set("intake", ok=False, why="draining")
        await self.transport.stop(self.settings.shutdown_timeout.total_seconds())
        log.info("stopped")

    async def _watch_store(self) -> None:
        try:
            await self.store.check()
            pending, oldest = await self.store.outbox_size()
            asked_at = await self.store.oldest_review()
            breaker_open = await self.store.breaker_open()
        except StoreUnavailable as error:
            self.health.set("store", ok=False, why=str(error))
            return
        self.health.set("store", ok=True)
        age = 0.0 if oldest is None else max(0.0, (clock() - oldest) / 1000)
        self.metrics.outbox(pending, age)
        self.metrics.review_age(0.0 if asked_at is None else max(0.0, (clock() - asked_at) / 1000))
        self.metrics.breaker(breaker_open)
        # What only the broker's routing refuses is alerted by its own metric, and holds nothing up.
        waits = age >= OUTBOX_PATIENCE and not self.outbox.refused_since(clock() - REFUSAL_MEMORY)
        self.health.set("outbox", ok=not waits, why="decisions wait to be published")

    async def _watch_broker(self) -> None:
        try:
            figures = await self.transport.figures()
        except BrokerUnavailable as error:
            self.health.set("broker", ok=False, why=str(error))
            return
        self.health.set("broker", ok=True)
        self.metrics.intake(figures.lag, figures.pending, figures.oldest_pending_age)

    async def _watch_readers(self) -> None:
        try:
            await self.transport.revive()
        except BrokerUnavailable as error:
            self.health.set("intake", ok=False, why=str(error))
        else:
            self.health.set("intake", ok=True)

    async def _sweep(self) -> None:
        if self.health.ok("store"):
            await self.outbox.sweep()

    async def _tick(self) -> None:
        if self.settings.review_grace and self.health.ok("store"):
            ticks = await self.store.claim_withheld_blocks()
            if ticks:
                await self.intake.tick(ticks)

    async def _reclaim(self) -> None:
        # Each claim counts as a delivery, so nothing is claimed that could not be worked on now: an
        # outage must not park messages as delivered too often.
        if self.health.ok("store") and self.health.ok("broker"):
            await self.transport.reclaim()


def build(settings: Settings) -> App:
    """Join the rooms. Nothing is connected yet."""
    metrics = Metrics(version=__version__, block_threshold=settings.block_threshold)
    health = Health(on_ready=metrics.ready)
    tracing = make_tracing(os.environ, __version__)
    store_client = connect(settings.store_address)
    retention = settings.decision_retention
    store = make_store(settings, store_client, metrics.store_call)
    transport = broker_for(settings.broker_address).make_transport(
        Options(
            url=settings.broker_address,
            group=settings.consumer_group,
            consumer=settings.consumer_name,
            batch_size=settings.batch_size,
            clock=clock,
            dead_letter_retention=milliseconds(settings.dead_letter_retention),
            decision_retention=None if retention is None else milliseconds(retention),
            registry=metrics.registry,
            tracer_provider=tracing.provider,
        )
    )
    sink = store if settings.store_is_broker else BrokerSink(transport, store)
    outbox = Outbox(sink=sink, store=store, metrics=metrics, tracing=tracing, clock=clock)
    intake = Intake(
        source=transport,
        store=store,
        outbox=outbox,
        metrics=metrics,
        clock=clock,
        max_event_bytes=settings.max_event_bytes,
        max_deliveries=settings.max_deliveries,
    )
    http = HttpServer(http_app(metrics, health, document()), settings.http_host, settings.http_port)
    return App(settings, store_client, store, transport, outbox, intake, metrics, tracing, health, http)


def _spare_the_collector() -> None:
    """Make the garbage collector look less often, and not at what was made at the start.

    A batch is thousands of small tuples that reference counting frees; looking through them for
    cycles took a tenth of the time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


async def _every(period: float, call: Callable[[], Awaitable[object]], stop: asyncio.Event) -> None:
    """Call again and again. A server that is away shows in the health; anything else ends the process."""
    while not stop.is_set():  # beside being cancelled, which a library on the way may swallow
        try:
            await call()
        except Unavailable as error:
            log.debug("loop_waits", error=str(error))
        await _sleep(period, stop)


async def _sleep(seconds: float, stop: asyncio.Event) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
