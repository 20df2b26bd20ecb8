"""Servers that may be away, and the links to them: requests and replies take time, and may be lost.

A call is done by the server, not by its caller. So a process that is killed while it waits leaves open
whether its call takes effect, and a lost reply tells nothing.
"""

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any, TypeVar

from tests.simulation.loop import OUTSIDE, Process, SimulatedLoop, this_task
from tests.simulation.plan import Faults

TIMEOUT = 5.0
"""Seconds after which a client gives up on a silent server, as those of the service do."""

T = TypeVar("T")


class Lost(Exception):
    """The server has done part of a call and gives no reply."""


class Server:
    """One server, which is up, refuses, or is silent."""

    def __init__(self, name: str, loop: SimulatedLoop, chance: Random, faults: Faults) -> None:
        self.name = name
        self.loop = loop
        self.chance = chance
        self.faults = faults
        self.away = ""
        """`refuses` or `silent` during an outage."""
        self.calm = False
        """No call is lost or slow any more."""

    def latency(self) -> float:
        """Return the seconds of one way."""
        slow = not self.calm and self.chance.random() < self.faults.slow
        return self.chance.expovariate(1 / (4.0 if slow else self.faults.latency))

    def loses(self) -> bool:
        """Return whether one way loses what is on it."""
        return not self.calm and self.chance.random() < self.faults.lost / 2


class Link:
    """The way from one process to one server."""

    def __init__(self, process: Process, server: Server, error: Callable[[str], Exception]) -> None:
        self.process = process
        self.server = server
        self._error = error
        self.strange: Exception | None = None
        """What the next call raises, though no client library should."""

    async def call(self, name: str, act: Callable[[], T]) -> T:
        """Have the server do `act`, and return its result.

        Raises:
            Exception: the link's own error: it may or may not be done.
        """
        if self.strange is not None:
            error, self.strange = self.strange, None
            raise error
        server = self.server
        reply: asyncio.Future[T] = server.loop.create_future()
        latency = server.latency()
        if latency > TIMEOUT:  # the call is done all the same, after its caller has given up
            server.loop.call_later(TIMEOUT, self._give_up, reply, f"{name} took too long", context=OUTSIDE)
        server.loop.call_later(latency, self._arrive, reply, name, act, context=OUTSIDE)
        try:
            return await reply
        except Exception:
            this_task().failures += 1
            raise

    def look(self, act: Callable[[], T]) -> T:
        """Have the server answer a question at once: it changes nothing, so nothing can come between."""
        if self.server.away:
            raise self._error(f"the {self.server.name} is away")
        return act()

    def _arrive(self, reply: asyncio.Future[Any], name: str, act: Callable[[], Any]) -> None:
        server = self.server
        if server.away or server.loses():
            self._lose(reply, f"{name} found no {server.name}")
            return
        try:
            result = act()
        except Lost:
            self._lose(reply, f"{name} was cut off")
            return
        if server.loses():
            self._lose(reply, f"{name} got no reply")
            return
        latency = server.latency()
        if latency > TIMEOUT:
            server.loop.call_later(TIMEOUT, self._give_up, reply, f"{name} took too long", context=OUTSIDE)
        else:
            server.loop.call_later(latency, self._answer, reply, result, context=OUTSIDE)

    def _lose(self, reply: asyncio.Future[Any], why: str) -> None:
        """Tell the caller at once, as by a reset, or after its own patience."""
        quick = self.server.away == "refuses" or self.server.chance.random() < 0.5
        self.server.loop.call_later(0.001 if quick else TIMEOUT, self._give_up, reply, why, context=OUTSIDE)

    def _give_up(self, reply: asyncio.Future[Any], why: str) -> None:
        if not self.process.dead and not reply.done():
            reply.set_exception(self._error(why))

    @staticmethod
    def _answer(reply: asyncio.Future[Any], result: Any) -> None:
        if not reply.done():
            reply.set_result(result)
