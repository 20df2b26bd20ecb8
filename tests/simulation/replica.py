"""One replica: the service's own intake, outbox, loops, transport and life, on simulated servers."""

import asyncio
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass
from random import Random
from typing import Any, cast

from image_moderation.domain.policy import Policy
from image_moderation.intake.intake import Intake
from image_moderation.loops import Loop, loops_of
from image_moderation.outbox.outbox import BrokerSink, Outbox
from image_moderation.replica import Replica
from image_moderation.telemetry.health import Health
from image_moderation.telemetry.metrics import Metrics
from image_moderation.telemetry.tracing import Tracing
from tests.simulation.broker import Broker
from tests.simulation.judge import MOST_DELIVERIES
from tests.simulation.loop import OUTSIDE, PROCESS, Process
from tests.simulation.messages import MOST_BYTES
from tests.simulation.plan import Plan
from tests.simulation.store import StoreServer, StoreSession
from tests.simulation.transport import SimulatedTransport

SHUTDOWN_TIMEOUT = 25.0
STRANGE = "a fault of the client library"


@dataclass
class Parts:
    """The classes that replicas are made of; a broken variant puts another in the place of one."""

    intake: type[Intake] = Intake
    outbox: type[Outbox] = Outbox
    sink: type[BrokerSink] = BrokerSink
    loops: Callable[..., list[Loop]] = loops_of


class NoHttp:
    """In the place of the HTTP server."""

    async def start(self) -> None:
        """Nobody asks."""

    async def stop(self) -> None:
        """Nobody asks."""


class Running:
    """One process, from its start to its end."""

    def __init__(
        self,
        name: str,
        *,
        plan: Plan,
        policy: Policy,
        parts: Parts,
        metrics: Metrics,
        store: StoreServer,
        broker: Broker,
        clock: Callable[[], int],
    ) -> None:
        loop = broker.loop
        self.process = Process(name)
        self.process.on_killed = self._bury
        self.stop = asyncio.Event()
        self.broker = broker
        self.health = Health(now=loop.time)
        self.store = StoreSession(
            self.process, server=store, broker=broker, plan=plan, policy=policy, clock=clock
        )
        self.transport = SimulatedTransport(self.process, broker, store.judge, plan, clock)
        replica = self._build(plan, parts, metrics, clock)
        context = copy_context()
        context.run(PROCESS.set, self.process)
        self.task = loop.create_task(replica.run(self.stop), name=name, context=context)

    def _build(self, plan: Plan, parts: Parts, metrics: Metrics, clock: Callable[[], int]) -> Replica:
        """As `app.build`."""
        store: Any = self.store
        sink = store if plan.one_server else parts.sink(self.transport, store)
        outbox = parts.outbox(sink=sink, store=store, metrics=metrics, tracing=Tracing(), clock=clock)
        intake = parts.intake(
            source=self.transport,
            store=store,
            outbox=outbox,
            metrics=metrics,
            clock=clock,
            max_event_bytes=MOST_BYTES,
            max_deliveries=MOST_DELIVERIES,
        )
        return Replica(
            consumer=self.process.name,
            shutdown_timeout=SHUTDOWN_TIMEOUT,
            store_client=store,
            store=store,
            transport=self.transport,
            intake=intake,
            loops=parts.loops(
                store=store,
                outbox=outbox,
                transport=self.transport,
                intake=intake,
                metrics=metrics,
                health=self.health,
                clock=clock,
            ),
            health=self.health,
            http=cast("Any", NoHttp()),
            tracing=Tracing(),
        )

    def _bury(self) -> None:
        """The broker notices the end of the process after a while; nobody else does."""
        loop, chance = self.broker.loop, self.broker.chance
        loop.bury(self.process)
        if not self._ended.done():
            self._ended.set_result(None)
        loop.call_later(chance.expovariate(1 / 3), self.broker.lose, self.transport.session)

    def end_with(self, ended: asyncio.Future[None]) -> None:
        """Set `ended` once the process is gone, by itself or killed."""
        self._ended = ended
        self.task.add_done_callback(self._on_done, context=OUTSIDE)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        error = task.exception()
        if error is not None and str(error) != STRANGE:
            raise error
        if not self._ended.done():
            self._ended.set_result(None)

    def make_strange(self, chance: Random) -> None:
        """Let one of its next calls raise what no client library should."""
        link = chance.choice([self.store.link, self.transport.link])
        link.strange = RuntimeError(STRANGE)
