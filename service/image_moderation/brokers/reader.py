"""Reads one channel in batches: the part that is the same on every broker.

A reader asks the broker's own client for batches, in several lanes side by side, so that one batch is parsed
while another waits for the store. Each batch then passes through FastStream's subscriber, which measures and
traces it and calls the handler. FastStream's own reading loops are not started: they wait for a batch to fill
up, stop polling while a batch is in work, or end without an error (docs/decisions/007-readers.md).
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, Protocol

import structlog
from faststream.message import StreamMessage

from image_moderation.brokers.calls import Errors
from image_moderation.domain.errors import BrokerUnavailable
from image_moderation.domain.message import RawMessage
from image_moderation.domain.outage import explain

MOST_IN_HAND = 64 * 1024 * 1024
"""Bytes of messages that one process may have in hand, whatever their number. A reader divides them among its
lanes.
"""
RETRY_DELAY = 0.5
"""Seconds before a lane asks again after the broker gave an error."""
CANCEL_TIMEOUT = 0.5
"""Seconds that cancelled lanes may take to end."""

Handler = Callable[[Sequence[RawMessage]], Awaitable[None]]

log = structlog.get_logger(__name__)


async def parse_batch(raw: Any) -> StreamMessage[Any]:
    """FastStream's parser. It parses no body: one malformed body must not fail its batch."""
    return StreamMessage(raw_message=raw, body=b"")


class Subscriber(Protocol):
    """All that a reader uses of a FastStream subscriber."""

    def __call__(self, handler: Handler, /) -> Any:
        """Register the handler."""

    def schema(self) -> Any:
        """Build the handler's call. FastStream does it here or in its own start, which begins to read."""

    async def process_message(self, msg: Any) -> Any:
        """Pass one batch through the middlewares, the parser and the decoder to the handler.

        Raises whatever the handler raises.
        """


class InHand(NamedTuple):
    """A batch that the handler works on."""

    since: float
    """When the handler was called, by the event loop's clock."""
    messages: Sequence[RawMessage]


class Reader(ABC):
    """Reads one channel, or all that one client reads together."""

    def __init__(self, channel: str, subscriber: Subscriber, *, lanes: int, errors: Errors) -> None:
        """`subscriber` decodes what `next_batch` gives to a list of RawMessage."""
        self.channel = channel
        self.reading = False
        self.in_hand: dict[int, InHand] = {}
        self.subscriber = subscriber
        self.subscriber(self.work_on)
        self._errors = errors
        self.handler: Handler
        self._lane_count = lanes
        self._lanes: dict[int, asyncio.Task[None]] = {}
        self._asking: set[int] = set()
        self._failures: dict[int, str] = {}

    @abstractmethod
    async def next_batch(self, lane: int) -> Any:
        """Return the next batch in the client's own form; wait for it about a second, and return None or an
        empty one if nothing came. Errors are the client's. `lane` counts from 0.
        """

    async def recover(self) -> None:
        """Make good what a lane that died has left: called before it is started again. Errors are the
        client's.
        """

    @property
    def failure(self) -> str:
        """Why a lane could not read at its last try; "" if all could."""
        return next(iter(self._failures.values()), "")

    def start(self, handler: Handler) -> None:
        """Begin to read. Harmless if it reads already."""
        if not self.reading:
            self.reading = True
            self.handler = handler
            self.subscriber.schema()
            for lane in range(self._lane_count):
                self._start(lane)

    def _start(self, lane: int) -> None:
        self._lanes[lane] = asyncio.create_task(self._run(lane), name=f"{self.channel}-{lane}")

    async def _run(self, lane: int) -> None:
        while self.reading:
            self._asking.add(lane)
            try:
                with self._errors():
                    batch = await self.next_batch(lane)
            except BrokerUnavailable as error:
                self._failures[lane] = str(error)
                await asyncio.sleep(RETRY_DELAY)
                continue
            self._failures.pop(lane, None)
            self._asking.discard(lane)
            if batch:
                await self.subscriber.process_message(batch)

    async def work_on(self, messages: Sequence[RawMessage]) -> None:
        """Give a batch to the handler, and count it as in hand until that returns."""
        key = id(messages)
        self.in_hand[key] = InHand(asyncio.get_running_loop().time(), messages)
        try:
            await self.handler(messages)
        finally:
            del self.in_hand[key]

    async def revive(self) -> None:
        """Start lanes again that have died, which only an unexpected error does.

        Raises:
            BrokerUnavailable: call again.
        """
        died = [lane for lane, task in self._lanes.items() if task.done()]
        if not died or not self.reading:
            return
        for lane in died:
            task = self._lanes[lane]
            error = None if task.cancelled() else task.exception()
            why = "cancelled" if error is None else explain(error)
            log.warning("reader_restarted", channel=self.channel, error=why)
        with self._errors():
            await self.recover()
        for lane in died:
            self._start(lane)

    async def drain(self) -> None:
        """Read no more, and return once every batch in hand is finished."""
        self.reading = False
        for lane in self._asking:
            self._lanes[lane].cancel()
        await asyncio.gather(*self._lanes.values(), return_exceptions=True)

    async def cancel(self) -> None:
        """Read no more, and give up the batches in hand: they stay unacked."""
        self.reading = False
        tasks = [task for task in self._lanes.values() if not task.done()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=CANCEL_TIMEOUT)
