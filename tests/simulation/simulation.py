"""One run: a site with its replicas, its load and its faults, from a seed."""

import asyncio
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from random import Random
from traceback import format_exception
from typing import Any
from unittest import mock

import structlog

from image_moderation import replica as replica_module
from image_moderation.domain.clock import DAY, HOUR
from image_moderation.telemetry.metrics import Metrics
from tests.simulation.broker import Broker
from tests.simulation.faults import Course, now_and_then
from tests.simulation.judge import Judge, Violation
from tests.simulation.loop import SimulatedLoop
from tests.simulation.messages import Producers
from tests.simulation.plan import MINUTE, Plan
from tests.simulation.replica import Parts, Running
from tests.simulation.rest import check_at_rest, unrest
from tests.simulation.store import StoreServer

EPOCH = 1_795_500_000_000
PATIENCE = 90.0
"""Seconds after the last fault within which all must be at rest, beside what delivering again takes."""
TAIL = 60
IDLE = (10 * MINUTE, HOUR, 6 * HOUR, DAY, 4 * DAY, 31 * DAY)
"""Milliseconds between two bursts of load, in which nothing happens; they are skipped."""


@dataclass(slots=True)
class Result:
    """What came of a run."""

    seed: int
    violation: str = ""
    tail: list[str] = field(default_factory=list)
    """The latest of what happened, if something was found."""
    digest: str = ""
    """Of every step and every call: equal only where the same happened."""
    steps: int = 0
    busy: float = 0.0
    """Virtual seconds in which the loops ran."""
    virtual: float = 0.0
    """All virtual seconds, with the idle ones."""
    messages: int = 0
    decisions: int = 0
    kills: int = 0


class Simulation:
    """A site."""

    def __init__(self, plan: Plan) -> None:
        seed = plan.seed
        self.plan = plan
        self.parts = Parts()
        self.policy = plan.policy
        """Of the replicas that start from now on."""
        self.metrics = Metrics(version="0", policy=plan.policy)
        """Of all replicas together: to make them costs as much as many steps."""
        self.loop = SimulatedLoop(Random(f"schedule {seed}"))
        self.chance = Random(f"faults {seed}")
        self.skipped = 0
        self.ending = False
        """All replicas are asked to stop, and nothing goes wrong any more."""
        self.tail: deque[str] = deque(maxlen=TAIL)
        self.hash = sha256()
        self.judge = Judge(self.plan.policy, self.plan.one_server, self.note, self.loop.fail)
        self.broker = Broker(self.loop, self.chance, plan, self.now, self.judge)
        self.store = StoreServer(self.loop, self.chance, plan, self.judge)
        self.running: dict[int, Running] = {}
        self.faults = Course(
            plan,
            chance=self.chance,
            broker=self.broker,
            store=self.store,
            running=self.running,
            note=self.note,
        )
        self.producers = Producers(Random(f"load {seed}"), plan)

    def now(self) -> int:
        """The true time in milliseconds."""
        return EPOCH + int(self.loop.time() * 1000) + self.skipped

    def note(self, text: str) -> None:
        """Remember what happened."""
        line = f"{(self.now() - EPOCH) / 1000:.3f} {text}"
        self.tail.append(line)
        self.hash.update(line.encode())

    def run(self) -> Result:
        """Run it all, once, and return what came of it."""
        violation = ""
        with _quiet(self._on_log), _untraced():
            try:
                self.loop.run_until_complete(self._main())
            except Violation as found:
                violation = str(found)
            except Exception as error:  # noqa: BLE001 - whatever it is, it ended a replica or the site
                violation = repr(error)
                self.tail.extend(format_exception(error))
            finally:
                self.loop.dispose()
        return Result(
            seed=self.plan.seed,
            violation=violation,
            tail=list(self.tail) if violation else [],
            digest=f"{self.loop.digest:016x}{self.hash.hexdigest()[:16]}",
            steps=self.loop.steps,
            busy=self.loop.time(),
            virtual=(self.now() - EPOCH) / 1000,
            messages=len(self.judge.messages),
            decisions=len(self.judge.decisions),
            kills=self.faults.kills,
        )

    # --- the course of a run

    async def _main(self) -> None:
        numbers = range(self.plan.replicas)
        keepers = [self.loop.create_task(self._keep_running(number)) for number in numbers]
        for _ in range(self.plan.bursts):
            await self._burst()
            await self._rest()
            self._skip(self.chance.choice(IDLE))
            await self._rest()
        for keeper in keepers:
            keeper.cancel()
        self.ending = True
        for running in self.running.values():
            running.stop.set()
        await asyncio.gather(*(running.task for running in self.running.values()))
        check_at_rest(self)

    async def _burst(self) -> None:
        """Load and faults for a while."""
        plan = self.plan
        if plan.policies and self.chance.random() < 0.5:
            self.policy = self.chance.choice(plan.policies)
        courses = [*self.faults.begin(), now_and_then(self.chance, 1 / plan.rate, self._send)]
        tasks = [self.loop.create_task(course) for course in courses]
        await asyncio.sleep(plan.burst * (0.5 + self.chance.random()))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self.chance.random() < plan.faults.frozen:
            self._skip(int(self.chance.expovariate(1 / HOUR)))
            self.broker.missed_heartbeats = True

    def _send(self) -> None:
        self.broker.add(self.producers.next(self.now()))

    async def _rest(self) -> None:
        """End the faults, and wait until all is done; then check what must be true."""
        self.faults.end()
        patience = PATIENCE + 3 * self.plan.habits.redeliver_after / 1000
        for hours_off in (False, True):
            deadline = self.loop.time() + patience
            while self.loop.time() < deadline and unrest(self):  # noqa: ASYNC110 - virtual time passes
                await asyncio.sleep(1.0)
            # What a clock in the future has leased is free once the others' clocks are there.
            if unrest(self) and not hours_off and self.plan.skew:
                self._skip(2 * self.plan.skew)
        if why := unrest(self):
            self.judge.violated(f"not at rest after {patience:.0f} s without faults: {why}")
        check_at_rest(self)

    def _skip(self, milliseconds: int) -> None:
        """Let time pass in which nothing happens."""
        self.skipped += milliseconds
        self.note(f"{milliseconds} ms later")

    # --- replicas

    async def _keep_running(self, number: int) -> None:
        """Start a replica, and start it again whenever it ends."""
        for life in range(1_000_000):
            running = Running(
                f"r{number}.{life}",
                plan=self.plan,
                policy=self.policy,
                parts=self.parts,
                metrics=self.metrics,
                store=self.store,
                broker=self.broker,
                clock=lambda: self.now() + self.faults.skews[number],
            )
            self.note(f"{running.process.name} starts")
            self.running[number] = running
            ended = self.loop.create_future()
            running.end_with(ended)
            await ended
            await asyncio.sleep(self.chance.expovariate(1.0))

    def _on_log(self, _logger: object, _method: str, event: dict[str, Any]) -> Any:
        """Note a warning of the service; some must not be."""
        name = event["event"]
        self.note(f"log {name}")
        must_not_be = {
            "parser_failed": True,
            "reader_restarted": not self.faults.strange,
            "drain_incomplete": self.ending,
        }
        if must_not_be.get(name):
            self.judge.violated(f"the service logs {event}")
        raise structlog.DropEvent


@contextmanager
def _quiet(on_log: Callable[[object, str, Any], Any]) -> Iterator[None]:
    """Take the service's warnings, and leave the garbage collector as it is."""
    before = structlog.get_config()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger("warning"),
        processors=[on_log],
        cache_logger_on_first_use=False,
    )
    try:
        with mock.patch.object(replica_module, "_collect_garbage_less_often"):
            yield
    finally:
        structlog.configure(**before)


@contextmanager
def _untraced() -> Iterator[None]:
    """Measure no coverage meanwhile: it would double the time, and other tests cover the same."""
    trace = sys.gettrace()
    sys.settrace(None)
    try:
        yield
    finally:
        sys.settrace(trace)
