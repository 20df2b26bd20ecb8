"""The service's own transport and reader, over the broker in memory."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from image_moderation.brokers.calls import unavailable_on
from image_moderation.brokers.port import INCOMING, Figures, Options
from image_moderation.brokers.reader import Handler, Reader
from image_moderation.brokers.transport import BaseTransport
from image_moderation.domain.decision import Publication
from image_moderation.domain.message import Outgoing, RawMessage
from image_moderation.events.models import REPORTED_CHANNEL
from tests.simulation.broker import Broker, Entry, Session
from tests.simulation.judge import Judge
from tests.simulation.link import Link
from tests.simulation.loop import Process
from tests.simulation.plan import Plan

POLL = 1.0
"""Seconds that a read waits for messages."""


class Subscriber:
    """In the place of FastStream's: hands each batch to the handler."""

    def __call__(self, handler: Handler, /) -> None:
        self._handler = handler

    def schema(self) -> None:
        """There is nothing to build."""

    async def process_message(self, msg: Sequence[RawMessage]) -> None:
        await self._handler(msg)


class SimulatedReader(Reader):
    """One channel."""

    def __init__(
        self, channel: str, link: Link, broker: Broker, session: Callable[[], Session], plan: Plan
    ) -> None:
        lanes = plan.habits.lanes if channel == REPORTED_CHANNEL else 1
        super().__init__(channel, Subscriber(), lanes=lanes, errors=partial(unavailable_on, ConnectionError))
        self._link = link
        self._broker = broker
        self._session = session
        self._batch_size = plan.batch_size

    async def next_batch(self, lane: int) -> Any:
        await self._broker.news(self.channel, POLL)
        session = self._session()
        entries = await self._link.call(
            "read", lambda: self._broker.take(session, self.channel, self._batch_size)
        )
        return [raw_message(entry) for entry in entries]

    async def recover(self) -> None:
        session = self._session()
        await self._link.call("recover", lambda: self._broker.give_back(session))


class Publisher:
    """Publishes dead letters and decisions."""

    def __init__(self, link: Link, broker: Broker) -> None:
        self._link = link
        self._broker = broker

    async def publish(self, messages: Sequence[Outgoing]) -> list[str | None]:
        return await self._link.call("publish", lambda: self._broker.publish(self._link.process, messages))


class SimulatedTransport(BaseTransport):
    """A `BaseTransport` whose client is a link."""

    publisher: Publisher

    def __init__(
        self, process: Process, broker: Broker, judge: Judge, plan: Plan, clock: Callable[[], int]
    ) -> None:
        self.link = Link(process, broker, ConnectionError)
        self._broker = broker
        self._judge = judge
        self._claims = plan.habits.claims
        self.session = Session(process, self._in_hand)
        options = Options(
            url="",
            group="image-moderation",
            consumer=process.name,
            batch_size=plan.batch_size,
            clock=clock,
            dead_letter_retention=0,
        )
        readers = [
            SimulatedReader(channel, self.link, broker, lambda: self.session, plan) for channel in INCOMING
        ]
        super().__init__(options, readers, partial(unavailable_on, ConnectionError))

    def _in_hand(self) -> set[str]:
        return {
            message.position
            for reader in self.readers
            for batch in reader.in_hand.values()
            for message in batch.messages
        }

    async def connect(self) -> None:
        self.publisher = Publisher(self.link, self._broker)
        await self.link.call("connect", lambda: None)

    async def ensure(self) -> None:
        self.link.look(lambda: None)

    async def ack(self, messages: Sequence[RawMessage]) -> None:
        positions = [message.position for message in messages]
        with self.errors():
            await self.link.call("ack", lambda: self._broker.ack(self.session, positions))

    async def publish(self, publications: Sequence[Publication]) -> Sequence[bool]:
        self._judge.sends(self.link.process, [one.message for one in publications])
        return await super().publish(publications)

    async def reclaim(self) -> None:
        for reader in self.readers if self._claims else ():
            while entries := await self._claim(reader.channel):
                await reader.work_on([raw_message(entry) for entry in entries])

    async def _claim(self, channel: str) -> list[Entry]:
        with self.errors():
            return await self.link.call("claim", lambda: self._broker.claim(self.session, channel))

    async def figures(self) -> Figures:
        with self.errors():
            return self.link.look(self._broker.figures)

    async def close(self) -> None:
        await asyncio.sleep(0)
        await self.link.call("close", lambda: self._broker.lose(self.session))


def raw_message(entry: Entry) -> RawMessage:
    """Return what the broker delivers."""
    message = entry.message
    return RawMessage(message.channel, message.position, message.body, entry.stamp, entry.deliveries)
