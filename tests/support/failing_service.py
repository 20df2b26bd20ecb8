"""The service with faults that only a test asks for, by variables of its environment:

- FAILPOINT=<step>[:<hit>] lets it kill itself with SIGKILL at that step, the first time or at that hit;
- FAILPOINT=never_published lets no decision reach the broker, so that what is acked stays in the outbox;
- REDELIVER_AFTER=<milliseconds> keeps tests short;
- CLOCK_OFFSET=<milliseconds>[@<seconds>] sets its clock wrong, at once or so long after its start;
- HANDLER_DELAY=<seconds> makes it take so long for each batch.

This entry point of the tests wraps the parts that `app.build` joins; the package has no failpoints. Run
it as `python -m tests.support.failing_service serve`.
"""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial, wraps
from typing import Any

import image_moderation.app
import image_moderation.wiring
from image_moderation.brokers.port import Options
from image_moderation.brokers.reader import Handler
from image_moderation.cli import main
from image_moderation.domain.errors import BrokerUnavailable
from image_moderation.domain.message import RawMessage

_CALLS = {
    "_transport": ("park", "ack", "publish"),
    "make_store": ("apply",),
    "make_outbox": ("deliver", "settle", "claim_unpublished"),
}
"""By what `app` makes a part with: the part's calls, each of which has a failpoint before and after it."""

STEPS = (
    "read",
    "before_park",
    "after_park",
    "before_apply",
    "after_apply",
    "before_ack",
    "after_ack",
    "before_deliver",
    "after_deliver",
    "before_publish",
    "after_publish",
    "before_settle",
    "after_settle",
    "after_claim_unpublished",
)
"""In the order of a batch. The last is a sweep's, which has found something."""

NEVER_PUBLISHED = "never_published"

_step, _, _hit = os.environ.get("FAILPOINT", "").partition(":")
_left = int(_hit or 1)
_delay = float(os.environ.get("HANDLER_DELAY", "0"))


def _reach(step: str) -> None:
    global _left  # noqa: PLW0603 - one process, one failpoint
    if step == _step:
        _left -= 1
        if _left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def _with_failpoints(name: str, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @wraps(call)
    async def wrapped(*arguments: Any, **named: Any) -> Any:
        if name in {"publish", "deliver"} and _step == NEVER_PUBLISHED:
            raise BrokerUnavailable("a test wants it so")
        _reach(f"before_{name}")
        result = await call(*arguments, **named)
        if result or name != "claim_unpublished":
            _reach(f"after_{name}")
        return result

    return wrapped


def _failing(make: Callable[..., Any], calls: Sequence[str]) -> Callable[..., Any]:
    @wraps(make)
    def made(*arguments: Any, **named: Any) -> Any:
        part = make(*arguments, **named)
        for name in calls:
            setattr(part, name, _with_failpoints(name, getattr(part, name)))
        if hasattr(part, "start"):
            part.start = _started_with(part.start)
        return part

    return made


def _started_with(start: Callable[[Handler], Awaitable[None]]) -> Callable[[Handler], Awaitable[None]]:
    async def started(handler: Handler) -> None:
        async def handle(messages: Sequence[RawMessage]) -> None:
            _reach("read")
            if _delay:
                await asyncio.sleep(_delay)
            await handler(messages)

        await start(handle)

    return started


def _wrap_service() -> None:
    app, wiring = image_moderation.app, image_moderation.wiring
    for make, calls in _CALLS.items():
        setattr(app, make, _failing(getattr(app, make), calls))
    redeliver_after = int(os.environ.get("REDELIVER_AFTER", "10000"))
    setattr(app, "Options", partial(Options, redeliver_after=redeliver_after))  # noqa: B010 - not exported
    offset, _, after = os.environ.get("CLOCK_OFFSET", "").partition("@")
    if offset:
        right, jumps_at = wiring.clock, time.monotonic() + float(after or 0)
        for module in (app, wiring):
            setattr(  # noqa: B010
                module, "clock", lambda: right() + (int(offset) if time.monotonic() >= jumps_at else 0)
            )


if __name__ == "__main__":
    _wrap_service()
    main()
