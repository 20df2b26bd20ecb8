"""An asyncio event loop on a virtual clock, whose scheduler is a seeded random generator.

Nothing waits: when no callback is ready the clock jumps to the next timer. Whenever several tasks are ready,
the generator picks the one that runs, so a seed is one interleaving. Callbacks that are no step of a task
keep their order, which asyncio's own parts rely on.

A process is killed as SIGKILL does it: no step of its tasks runs any more, no `finally` either.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context, ContextVar, copy_context
from random import Random
from typing import Any, Self

MASK = (1 << 61) - 1


class Process:
    """All tasks that were started for one process; they know it by the context they run in."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self.steps_left = 0
        """Steps until the process is killed; 0 if it isn't to be."""
        self.tasks: list[asyncio.Task[Any]] = []
        """All that may not be done yet."""
        self.failures = 0
        """Calls to servers that have failed."""
        self.on_killed: Callable[[], None] = lambda: None

    def kill(self) -> None:
        """End it between two steps, now."""
        if not self.dead:
            self.dead = True
            self.on_killed()


PROCESS: ContextVar[Process | None] = ContextVar("PROCESS", default=None)
OUTSIDE = Context()
"""The context of servers and of the world: no process, so nothing of it ends with one."""

_Ready = tuple[Process | None, asyncio.Handle]


class NumberedTask(asyncio.Task[Any]):
    """Hashes to its number: asyncio keeps tasks in sets, whose order must not come from addresses."""

    number: int

    def __new__(cls, *_: object, loop: "SimulatedLoop", **__: object) -> Self:
        task = super().__new__(cls)
        loop.tasks += 1
        task.number = loop.tasks
        return task

    def __hash__(self) -> int:
        return self.number


class Stalled(Exception):
    """Nothing is ready and no timer runs, so nothing will ever happen again."""


class SimulatedLoop(asyncio.BaseEventLoop):
    """Knows time, callbacks and tasks alone. Whatever would touch the machine raises NotImplementedError."""

    def __init__(self, chance: Random) -> None:
        super().__init__()
        self._random = chance.random
        self._now = 0.0
        self._count = 0
        self._steps: list[_Ready] = []
        self._callbacks: deque[_Ready] = deque()
        self._timers: list[tuple[float, int, Process | None, asyncio.TimerHandle]] = []
        self._buried: list[asyncio.Task[Any]] = []
        self._failure: BaseException | None = None
        self.tasks = 0
        """Tasks that were made."""
        self.steps = 0
        """Steps that have run."""
        self.digest = 0
        """Of every choice so far; equal only where the same steps ran in the same order."""
        self.set_exception_handler(self._on_error)
        self.set_task_factory(lambda loop, coro, **options: NumberedTask(coro, loop=loop, **options))

    def fail(self, error: BaseException) -> None:
        """End the run with this error after the current step, whoever swallows it on the way."""
        self._failure = self._failure or error

    def _on_error(self, _loop: object, context: dict[str, Any]) -> None:
        self.fail(context.get("exception") or AssertionError(context["message"]))

    # --- what asyncio asks

    def time(self) -> float:
        return self._now

    def call_soon(  # type: ignore[override]  # typeshed ties the arguments to the callback's
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        context = copy_context() if context is None else context
        handle = asyncio.Handle(callback, args, self, context)
        self._enqueue(context.get(PROCESS), handle, callback)
        return handle

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        context = copy_context() if context is None else context
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._count += 1
        heapq.heappush(self._timers, (when, self._count, context.get(PROCESS), handle))
        return handle

    def create_task(
        self, coro: Any, *, name: object = None, context: Context | None = None, **options: Any
    ) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = super().create_task(coro, name=name, context=context, **options)
        process = PROCESS.get() if context is None else context.get(PROCESS)
        if process is not None:
            process.tasks.append(task)
            if len(process.tasks) > 100:
                process.tasks = [one for one in process.tasks if not one.done()]
        return task

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Run it at once: there are no threads."""
        done = self.create_future()
        done.set_result(func(*args))
        return done

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """A cancelled timer is dropped when its time comes."""

    # --- the scheduler

    def _enqueue(self, process: Process | None, handle: asyncio.Handle, callback: Any) -> None:
        if process is not None and process.dead:
            return
        if isinstance(getattr(callback, "__self__", None), asyncio.Task):
            self._steps.append((process, handle))
        else:
            self._callbacks.append((process, handle))

    def _run_once(self) -> None:
        """Run one step; `run_until_complete` calls it again and again."""
        steps, callbacks = self._steps, self._callbacks
        while not (ready := len(steps) + (1 if callbacks else 0)):
            self._advance()
        pick = int(self._random() * ready) if ready > 1 else 0
        if pick == len(steps):
            process, handle = callbacks.popleft()
        else:
            steps[pick], steps[-1] = steps[-1], steps[pick]
            process, handle = steps.pop()
        if handle.cancelled():
            return
        if process is not None:
            if process.steps_left:
                process.steps_left -= 1
                if not process.steps_left:
                    process.kill()
            if process.dead:
                return
        self.steps += 1
        self.digest = (self.digest * 1_000_003 + pick * 64 + ready) & MASK
        handle._run()
        if self._failure is not None:
            raise self._failure

    def _advance(self) -> None:
        """Move the clock to the next timer, and make all that are due ready."""
        timers = self._timers
        if not timers:
            raise Stalled(f"nothing is left to happen after {self._now:.3f} s")
        self._now = max(self._now, timers[0][0])
        while timers and timers[0][0] <= self._now:
            _, _, process, handle = heapq.heappop(timers)
            if not handle.cancelled():
                self._enqueue(process, handle, handle._callback)  # type: ignore[attr-defined]

    # --- the end of tasks that never run again

    def bury(self, process: Process) -> None:
        """Keep the tasks of a killed process, so that no garbage collector runs their `finally` meanwhile."""
        self._buried += [task for task in process.tasks if not task.done()]

    def dispose(self) -> None:
        """End what is left once nothing runs any more; servers no longer answer a `finally`."""
        self._steps.clear()
        self._callbacks.clear()
        self._timers.clear()
        for task in {*self._buried, *asyncio.all_tasks(self)}:
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            _close(task.get_coro())
        self._buried.clear()
        self.set_exception_handler(lambda _loop, _context: None)
        self.close()


def _close(coroutine: Any) -> None:
    # It may await in a `finally`, once for each; then closing says so and has to be repeated.
    for _ in range(20):
        with suppress(RuntimeError):
            coroutine.close()
            return
