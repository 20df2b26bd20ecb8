"""The service with failpoints: it kills itself with SIGKILL at a named step between read and ack.

This entry point of the tests wraps the ports; the package itself has no failpoints. Run it as
`python -m tests.support.failing_service serve`, with FAILPOINT=<step>[:<hit>] and, to keep tests short,
REDELIVER_AFTER=<milliseconds>.
"""

import os
import signal
from collections.abc import Sequence
from functools import partial

import image_moderation.app
import image_moderation.brokers.redis
import image_moderation.wiring
from image_moderation.brokers.port import Options
from image_moderation.brokers.reader import Handler
from image_moderation.brokers.redis.transport import RedisTransport
from image_moderation.cli import main
from image_moderation.domain.decision import Applied, Delivery, OutboxEntry, Publication
from image_moderation.domain.message import DeadLetter, RawMessage
from image_moderation.domain.report import Event
from image_moderation.store.redis_outbox import RedisOutbox
from image_moderation.store.redis_store import RedisStore

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
)
_step, _, _hit = os.environ.get("FAILPOINT", "").partition(":")
_left = int(_hit or 1)


def _reach(step: str) -> None:
    global _left  # noqa: PLW0603 - one process, one failpoint
    if step == _step:
        _left -= 1
        if _left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


class FailingStore(RedisStore):
    """The store, with a failpoint before and after each call."""

    async def apply(self, events: Sequence[Event], *, retried: bool = False) -> Applied:
        _reach("before_apply")
        applied = await super().apply(events, retried=retried)
        _reach("after_apply")
        return applied


class FailingOutbox(RedisOutbox):
    """The outbox, with a step before and after each call."""

    async def deliver(self, publications: Sequence[Publication]) -> Sequence[Delivery]:
        _reach("before_deliver")
        delivered = await super().deliver(publications)
        _reach("after_deliver")
        return delivered

    async def settle(self, entries: Sequence[OutboxEntry]) -> Sequence[bool]:
        _reach("before_settle")
        settled = await super().settle(entries)
        _reach("after_settle")
        return settled


class FailingTransport(RedisTransport):
    """The transport, with a failpoint before and after each call."""

    async def start(self, handler: Handler) -> None:
        async def handle(messages: Sequence[RawMessage]) -> None:
            _reach("read")
            await handler(messages)

        await super().start(handle)

    async def park(self, dead_letters: Sequence[DeadLetter]) -> None:
        _reach("before_park")
        await super().park(dead_letters)
        _reach("after_park")

    async def ack(self, messages: Sequence[RawMessage]) -> None:
        _reach("before_ack")
        await super().ack(messages)
        _reach("after_ack")

    async def publish(self, publications: Sequence[Publication]) -> Sequence[bool]:
        _reach("before_publish")
        published = await super().publish(publications)
        _reach("after_publish")
        return published


if __name__ == "__main__":
    setattr(image_moderation.wiring, "RedisStore", FailingStore)  # noqa: B010 - not exported, on purpose
    setattr(image_moderation.wiring, "RedisOutbox", FailingOutbox)  # noqa: B010
    setattr(image_moderation.brokers.redis, "RedisTransport", FailingTransport)  # noqa: B010
    redeliver_after = int(os.environ.get("REDELIVER_AFTER", "10000"))
    setattr(image_moderation.app, "Options", partial(Options, redeliver_after=redeliver_after))  # noqa: B010
    main()
