"""Reading one of the group's queues, and gathering its messages into batches: AMQP delivers one at a time."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from enum import Enum

import aiormq
from aio_pika.abc import AbstractConnection
from aiormq.abc import DeliveredMessage
from aiormq.exceptions import ChannelInvalidStateError

from image_moderation.brokers.calls import within
from image_moderation.brokers.port import Options
from image_moderation.brokers.rabbitmq.connection import CLIENT_ERRORS, errors, open_channel
from image_moderation.brokers.rabbitmq.messages import Batch, size_of
from image_moderation.brokers.rabbitmq.topology import queue_name
from image_moderation.brokers.reader import MOST_IN_HAND, Reader, Subscriber
from image_moderation.domain.message import RawMessage

LANES = 2
"""Batches of one queue that are worked on side by side."""
GATHERING = 0.005
"""Seconds that a batch which is not full waits for more: messages arrive one by one, and a call of the store
for every few of them costs ten times what they do."""
POLL = 1.0
"""Seconds that a lane waits for a first message."""
QUEUE_BYTES = MOST_IN_HAND // 3
"""Of one queue; there are two, and the rest is for their dead letters."""
FIRST_PREFETCH = 64
"""Messages that the server may send ahead before their sizes are known: AMQP's prefetch can't count bytes."""
REMEMBERED = 500
"""Messages over whose sizes the mean is taken, about."""
IDLE_LOOKS = 3
"""Looks in a row, a second apart, at a reader without work while messages wait: then it is starved."""


class ReaderState(Enum):
    """The state that the last look found. A restart mends all but HEALTHY."""

    HEALTHY = "it reads"
    LOST = "its channel is closed"
    DELETED = "its queue was deleted"
    STARVED = "messages wait and none are delivered"


class DoneTags:
    """The delivery tags of one channel, which count from 1, that are done."""

    def __init__(self) -> None:
        self._up_to = 0
        self._beyond: set[int] = set()

    def add(self, tags: Sequence[int]) -> int:
        """Return the tag up to which all are done now, or 0 if it is the same as before."""
        self._beyond.update(tags)
        before = self._up_to
        while self._up_to + 1 in self._beyond:
            self._up_to += 1
            self._beyond.discard(self._up_to)
        return self._up_to if self._up_to > before else 0


class RabbitmqReader(Reader):
    """One queue, consumed on a channel of its own."""

    connection: AbstractConnection
    """There is one once the transport has connected."""

    def __init__(self, channel: str, subscriber: Subscriber, options: Options) -> None:
        super().__init__(channel, subscriber, lanes=LANES, errors=errors)
        self.state = ReaderState.LOST
        self._queue = queue_name(options.group, channel)
        self._batch_size = options.batch_size
        self._amqp: aiormq.Channel | None = None
        self._tags: list[str] = []
        # One batch for each lane, and one to come.
        self._most = (LANES + 1) * options.batch_size
        self._prefetch = min(FIRST_PREFETCH, self._most)
        self._mean, self._seen = 0.0, 0
        self._fitting = asyncio.Lock()
        self._done = DoneTags()
        self._arrived: list[DeliveredMessage] = []
        self._arrival = asyncio.Event()
        self._idle = 0

    @property
    def pending(self) -> int:
        """Messages that were delivered and are not done."""
        return len(self._arrived) + sum(len(batch.messages) for batch in self.in_hand.values())

    async def take(self, message: DeliveredMessage) -> None:
        """Keep a message for the next batch: the client's callback for each delivery."""
        self._arrived.append(message)
        self._arrival.set()

    async def next_batch(self, lane: int) -> Batch | None:  # noqa: ARG002 - any lane takes what is there
        """See `Reader`. A full batch is taken at once."""
        with suppress(TimeoutError):
            await within(self._arrival.wait(), POLL)
        if len(self._arrived) < self._batch_size:
            await asyncio.sleep(GATHERING)
        async with self._fitting:
            await self._fit_prefetch()
        messages, self._arrived = self._arrived[: self._batch_size], self._arrived[self._batch_size :]
        if not self._arrived:
            self._arrival.clear()
        return Batch(self.channel, messages) if messages else None

    async def ack(self, messages: Sequence[RawMessage]) -> None:
        """Ack in bulk, up to the last message before which all are done.

        Messages of an earlier channel, or of one that breaks now, will be delivered again and change nothing.
        """
        tags = [one.handle.delivery_tag for one in messages if one.handle.channel is self._amqp]
        up_to = self._done.add(tags)
        if up_to and self._amqp is not None:
            with suppress(*CLIENT_ERRORS):
                await self._amqp.basic_ack(up_to, multiple=True)

    def look(self, waiting: int | None) -> ReaderState:
        """Return the state, and remember it. `waiting` is what the queue holds, None if it is missing."""
        self._idle = self._idle + 1 if waiting and not self.pending else 0
        if self._amqp is None or self._amqp.is_closed:
            self.state = ReaderState.LOST
        elif waiting is None or not (self._amqp.consumers or self._fitting.locked()):
            self.state = ReaderState.DELETED
        elif self._idle >= IDLE_LOOKS:
            self.state = ReaderState.STARVED
        else:
            self.state = ReaderState.HEALTHY
        return self.state

    async def restart(self) -> None:
        """Read on a new channel. Errors are the client's.

        On the old one the server still serves the deleted queue, so messages of its replacement never arrive.
        """
        if self._amqp is not None:
            # The error is for acks that are under way on it: by default they would be cancelled.
            await within(self._amqp.close(ChannelInvalidStateError("reading goes on on a new channel")))
            if self.state is not ReaderState.DELETED:  # else the server has no other copy
                self._arrived.clear()
        self._done = DoneTags()
        self._idle = 0
        self._amqp = await open_channel(self.connection)
        self._tags.clear()
        await self._consume(self._amqp, self._prefetch)
        self.state = ReaderState.HEALTHY

    async def _consume(self, amqp: aiormq.Channel, prefetch: int) -> None:
        await within(amqp.basic_qos(prefetch_count=prefetch))
        answer = await within(amqp.basic_consume(self._queue, self.take))
        self._tags.append(answer.consumer_tag or "")

    async def _fit_prefetch(self) -> None:
        """Let the server send as many messages ahead as fit into QUEUE_BYTES, by their mean size of late.

        What was delivered before stays in hand. More are asked for by one more consumer on the channel. Fewer
        only if it must be: the server delivers again what is on its way while a consumer is cancelled.
        """
        sizes = [size_of(message) for message in self._arrived[: self._batch_size]]
        if self._amqp is None or not sizes:
            return
        known = self._seen + len(sizes)
        self._mean = (self._mean * self._seen + sum(sizes)) / known
        self._seen = min(known, REMEMBERED)
        before, fitting = self._prefetch, max(1, min(self._most, int(QUEUE_BYTES / max(self._mean, 1))))
        if fitting < before * 2 / 3:
            self._prefetch = fitting
            while self._tags:
                await within(self._amqp.basic_cancel(self._tags.pop()))
            await self._consume(self._amqp, fitting)
        elif fitting >= min(self._most, 2 * before) > before:
            self._prefetch = fitting
            await self._consume(self._amqp, fitting - before)

    async def recover(self) -> None:
        """See `Reader`. The unacked batch of a lane that died would hold up all later acks."""
        await self.restart()
