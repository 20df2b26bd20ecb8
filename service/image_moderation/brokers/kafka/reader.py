"""FastStream's reader of batches, made to read on while batches are worked on.

Its own waits for each batch and leaves the client unpolled meanwhile, so that the group would take this
process for dead as soon as a store is away for some minutes.
"""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaException, Message
from faststream.confluent.subscriber.usecase import BatchSubscriber

from image_moderation.brokers.kafka.assignment import Assignment

LANES = 3
"""Batches that are worked on side by side, so that one is parsed while another waits for the store."""
POLL = 0.1
"""Seconds that a poll waits for a first message. Commits and the group's news wait for its end."""
GATHERING = 0.003
"""Seconds that further messages may take to make it a batch."""
HOLD_AFTER = 1.0
"""Seconds without a free lane after which reading pauses and only the group is attended to."""
BREATH = 0.5
"""Seconds between attempts to read where reading fails."""

T = TypeVar("T")


class Reader(BatchSubscriber):
    """A member of the group. `prepare` it before it starts."""

    assignment: Assignment
    lanes: set[asyncio.Task[Any]]

    def prepare(self, assignment: Assignment) -> None:
        """Give it what its class can't be made with."""
        self.assignment = assignment
        self.lanes = set()

    async def _consume(self) -> None:
        while self.running:
            try:
                if self._is_full() and not await self._waited():
                    await self._hold()
                else:
                    await self._begin(await self._call(self._poll))
            except KafkaException:
                await asyncio.sleep(BREATH)  # the watchdog says what is wrong

    def _is_full(self) -> bool:
        # What may have ended a reader before is worked on alone until it is done, or it would
        # take the blame for what happens beside it.
        suspect = any(ledger.suspect for ledger in self.assignment.ledgers.values())
        return len(self.lanes) >= (1 if suspect else LANES)

    async def _waited(self) -> bool:
        done, _ = await asyncio.wait(self.lanes, timeout=HOLD_AFTER, return_when=asyncio.FIRST_COMPLETED)
        return bool(done)

    async def _begin(self, messages: list[Message]) -> None:
        if messages:
            batches = self.assignment.take(messages)
            if self.assignment.unmarked:
                await self._call(self.assignment.mark)
            for batch in batches.values():
                lane = asyncio.create_task(self.consume(batch))
                self.lanes.add(lane)
                lane.add_done_callback(self.lanes.discard)

    def _poll(self, consumer: Consumer) -> list[Message]:
        self.assignment.commit(consumer)
        first = consumer.poll(POLL)
        if first is None or first.error() is not None:
            return []
        known = self.assignment.ledgers
        most = (self.max_records or 1) - 1
        more = consumer.consume(most, GATHERING) if most else []
        messages = [message for message in more if message.error() is None]
        # The first is nobody's any more if the group took its partition away meanwhile.
        return [first, *messages] if self.assignment.ledgers is known else messages

    async def _hold(self) -> None:
        """Stay in the group, and read nothing until there is a free lane."""
        self.assignment.held = True
        try:
            await self._call(lambda consumer: consumer.pause(consumer.assignment()))
            while self.running and self._is_full():
                await self._begin(await self._call(self._attend))
        finally:
            self.assignment.held = False
        await self._call(lambda consumer: consumer.resume(consumer.assignment()))

    def _attend(self, consumer: Consumer) -> list[Message]:
        self.assignment.commit(consumer)
        message = consumer.poll(POLL)  # nothing, unless it was on its way already
        return [] if message is None or message.error() is not None else [message]

    async def _call(self, call: Callable[[Consumer], T]) -> T:
        """In FastStream's one thread for this consumer: the client can't be called from two at once."""
        consumer: Any = self.consumer
        thread = consumer._thread_pool  # noqa: SLF001 - it has no public name
        return await asyncio.get_running_loop().run_in_executor(thread, call, consumer.consumer)

    async def finish(self) -> None:
        """Read no more; return once nothing is in hand. Then it can be stopped."""
        self.running = False
        if self.lanes:
            await asyncio.wait(self.lanes)

    def give_up(self) -> None:
        """What is in hand stays unacked."""
        for lane in self.lanes:
            lane.cancel()
