"""The transport of every broker: what connects, reads, publishes and ends the same way on all of them."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

import structlog

from image_moderation.brokers.calls import Errors, chunks
from image_moderation.brokers.port import Damage, Figures, Options
from image_moderation.brokers.reader import Handler, Reader
from image_moderation.domain.decision import Publication
from image_moderation.domain.errors import BrokerUnavailable
from image_moderation.domain.message import DeadLetter, Outgoing, RawMessage
from image_moderation.domain.outage import explain
from image_moderation.events.render import dead_letter_message

PARKED_AT_ONCE = 16
"""Dead letters that are rendered and sent together: each may have 800 kB, and a batch 5,000 of them."""
CLOSE_TIMEOUT = 1.0
"""Seconds that closing the connection may take beyond the time that `stop` was given."""

log = structlog.get_logger(__name__)


class Publisher(Protocol):
    """Publishes on one broker. Errors are the client's."""

    async def publish(self, messages: Sequence[Outgoing]) -> list[str | None]:
        """Publish in order, and return once all are confirmed: each one's position, "" on a broker that has
        none, None for a message that the broker's routing refused.
        """


class BaseTransport(ABC):
    """A `port.Transport`, but for what differs from broker to broker."""

    publisher: Publisher
    """There is one once `connect` has returned."""

    def __init__(self, options: Options, readers: Sequence[Reader], errors: Errors) -> None:
        """Nothing is connected before `start`."""
        self.options = options
        self.readers = readers
        self.errors = errors
        self._parking = asyncio.Lock()

    @abstractmethod
    async def connect(self) -> None:
        """Connect, unless connected. Errors are the client's, as of all that a transport defines itself."""

    @abstractmethod
    async def ensure(self) -> None:
        """Make what is missing on the broker: streams, groups, topics, queues.

        Raises:
            BrokerUnavailable: reading can't go on yet; call again.
            Misconfigured: it is there, and must not be used as it is.
        """

    @abstractmethod
    async def ack(self, messages: Sequence[RawMessage]) -> None:
        """See `intake.ports.Source`."""

    @abstractmethod
    async def figures(self) -> Figures:
        """See `port.Transport`."""

    def damage(self) -> Damage:
        """See `port.Transport`. Most brokers let nobody do harm who may only publish."""
        return Damage()

    async def leave(self) -> None:
        """Take this process out of the group, once nothing is in hand."""

    @abstractmethod
    async def close(self) -> None:
        """Close what `connect` opened, if anything."""

    async def start(self, handler: Handler) -> None:
        with self.errors():
            await self.connect()
            await self.ensure()
        for reader in self.readers:
            reader.start(handler)

    async def revive(self) -> None:
        with self.errors():
            await self.ensure()
        for reader in self.readers:
            await reader.revive()
        for reader in self.readers:
            if reader.failure:
                raise BrokerUnavailable(reader.failure)

    async def park(self, dead_letters: Sequence[DeadLetter]) -> None:
        for chunk in chunks(dead_letters, PARKED_AT_ONCE):
            async with self._parking:
                now = self.options.clock()
                with self.errors():
                    positions = await self.publisher.publish([dead_letter_message(one, now) for one in chunk])
            if None in positions:
                raise BrokerUnavailable("the queue of dead letters is missing")

    async def publish(self, publications: Sequence[Publication]) -> Sequence[bool]:
        with self.errors():
            positions = await self.publisher.publish([one.message for one in publications])
        return [position is not None for position in positions]

    async def keep(self) -> None:
        """See `port.Transport`. Most brokers take nothing back from a reader that is connected."""

    async def reclaim(self) -> None:
        """See `port.Transport`. Most brokers deliver again by themselves."""

    async def tidy(self) -> None:
        """See `port.Transport`. Most brokers remove by themselves what was acked."""

    async def stop(self, drain_timeout: float) -> None:
        try:
            async with asyncio.timeout(drain_timeout):
                await asyncio.gather(*(reader.drain() for reader in self.readers))
                with self.errors():
                    await self.leave()
        except (TimeoutError, BrokerUnavailable) as error:
            log.warning("drain_incomplete", error=explain(error))
        for reader in self.readers:
            await reader.cancel()
        with suppress(TimeoutError, BrokerUnavailable), self.errors():
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self.close()
