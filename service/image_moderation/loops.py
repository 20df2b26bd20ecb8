"""The loops of a running replica, one small function each, with the rules of `/readyz` beside them.

Each function does one round and is called again after its period. `Unavailable` means a server is away: the
loop logs it and goes on. Any other error ends the process, because no loop can repair it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import NamedTuple

import structlog

from image_moderation.brokers.port import Transport
from image_moderation.domain.errors import BrokerUnavailable, StoreUnavailable, Unavailable
from image_moderation.intake.intake import Intake
from image_moderation.outbox.outbox import Outbox
from image_moderation.store.redis_store import RedisStore
from image_moderation.telemetry.health import Health
from image_moderation.telemetry.metrics import Metrics

OUTBOX_TIMEOUT = 15.0
"""Seconds that a decision may wait before the outbox counts as unavailable."""
UNROUTABLE_MEMORY = 60_000
"""Milliseconds after an unroutable decision in which an old outbox does not count as unavailable."""

OVERDUE = 3.5
"""Seconds after which an answer is overdue that is asked for each second. Clients wait for longer, but
`/readyz` must tell within five seconds that a server is silent.
"""

TOLD_AFTER = 3
"""Failures of a loop in a row that make one line of the log: a server may answer all that `/readyz` asks, and
refuse what this loop does.
"""

log = structlog.get_logger(__name__)


class Loop(NamedTuple):
    """One function that is called again and again."""

    period: float
    """Seconds between the end of one call and the next."""
    call: Callable[[], Awaitable[object]]

    async def run(self, stop: asyncio.Event) -> None:
        """Call until `stop` is set.

        Raises:
            Exception: whatever the call raises, except `Unavailable`.
        """
        failures = 0
        # The condition stands beside cancelling, because a library on the way may swallow a cancellation.
        while not stop.is_set():
            try:
                await self.call()
                failures = 0
            except Unavailable as error:
                failures += 1
                log.debug("loop_unavailable", error=str(error))
                if failures == TOLD_AFTER:
                    log.warning("loop_failing", error=str(error))
            await sleep(self.period, stop)


async def sleep(seconds: float, stop: asyncio.Event) -> None:
    """Sleep, but return early once `stop` is set."""
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)


def loops_of(
    *,
    store: RedisStore,
    outbox: Outbox,
    transport: Transport,
    intake: Intake,
    metrics: Metrics,
    health: Health,
    clock: Callable[[], int],
) -> list[Loop]:
    """Return all loops of one replica."""
    return [
        Loop(1.0, partial(watch_store, store, outbox, metrics, health, clock)),
        Loop(1.0, partial(watch_broker, transport, metrics, health)),
        Loop(1.0, partial(watch_readers, transport, intake, health)),
        Loop(0.5, partial(expire, health)),
        Loop(1.0, partial(sweep, outbox, health)),
        # Whatever is set: grace and the breaker withhold blocks, and some may be left from another setting.
        Loop(1.0, partial(tick, store, intake, health)),
        Loop(2.0, partial(reclaim, transport, health)),
        Loop(5.0, partial(tidy, transport, health)),
    ]


async def watch_store(
    store: RedisStore, outbox: Outbox, metrics: Metrics, health: Health, clock: Callable[[], int]
) -> None:
    """Set the checks `store` and `outbox`, and the gauges that are read from the store."""
    try:
        await store.check()
        backlog = await outbox.backlog()
        asked_at = await store.oldest_review()
        breaker_open = await store.breaker.is_open(clock())
    except StoreUnavailable as error:
        health.set("store", ok=False, why=str(error))
        return
    now = clock()
    age = _age(backlog.oldest, now)
    health.set("store", ok=True)
    metrics.outbox(backlog.count, age)
    metrics.review_age(_age(asked_at, now))
    metrics.breaker(breaker_open)
    # An unroutable decision has a metric and an alert of its own, and delays no other decision.
    late = age >= OUTBOX_TIMEOUT and not outbox.refused_since(now - UNROUTABLE_MEMORY)
    health.set("outbox", ok=not late, why="decisions wait to be published")


async def watch_broker(transport: Transport, metrics: Metrics, health: Health) -> None:
    """Set the checks `broker` and `channels`, and the metrics of the channels."""
    try:
        figures = await transport.figures()
    except BrokerUnavailable as error:
        health.set("broker", ok=False, why=str(error))
        return
    damage = transport.damage()
    health.set("broker", ok=True)
    health.set("channels", ok=not damage.why, why=damage.why)
    metrics.intake(figures.lag, figures.pending, figures.oldest_pending_age)
    metrics.damage(damage.ahead, damage.deleted)


async def watch_readers(transport: Transport, intake: Intake, health: Health) -> None:
    """Restart readers that have ended, and set the check `intake`: reading goes on, and no step waits.

    What is in hand is kept from other replicas while it is only slow. While a step waits another may have it,
    for the trouble may be this replica's alone.
    """
    try:
        await transport.revive()
        if not intake.failing and health.ok("store"):
            await transport.keep()
    except BrokerUnavailable as error:
        health.set("intake", ok=False, why=str(error))
    else:
        health.set("intake", ok=not intake.failing, why=intake.failing)


async def expire(health: Health) -> None:
    """Fail the checks whose question waits for an answer; the loops that ask pass them again."""
    health.expire(("store", "broker", "intake"), OVERDUE)


async def sweep(outbox: Outbox, health: Health) -> None:
    """Publish decisions that a crash or a lost reply left in the outbox."""
    if health.ok("store"):
        await outbox.sweep()


async def tick(store: RedisStore, intake: Intake, health: Health) -> None:
    """Evaluate again the cases whose withheld block is due."""
    if health.ok("store") and (ticks := await store.claim_withheld_blocks()):
        await intake.tick(ticks)


async def reclaim(transport: Transport, health: Health) -> None:
    """Take over messages that dead readers left unacked.

    Each claim counts as a delivery, so nothing is claimed that could not be processed now: an outage must not
    make good messages dead letters for `too_many_deliveries`. A server may also answer the checks and refuse
    what a batch needs, which the check `intake` tells.
    """
    if health.ok("store") and health.ok("broker") and health.ok("intake"):
        await transport.reclaim()


async def tidy(transport: Transport, health: Health) -> None:
    """Remove what no consumer needs any more."""
    if health.ok("broker"):
        await transport.tidy()


def _age(time: int | None, now: int) -> float:
    """Seconds from `time` to `now`, both in milliseconds; 0 for None and for a time in the future."""
    return 0.0 if time is None else max(0.0, (now - time) / 1000)
