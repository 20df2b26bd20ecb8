"""The interfaces that the outbox needs from other rooms."""

from collections.abc import Sequence
from typing import Protocol

from image_moderation.domain.decision import Backlog, Decision, Delivery, OutboxEntry, Publication


class Sink(Protocol):
    """Publishes and settles."""

    async def deliver(self, publications: Sequence[Publication]) -> Sequence[Delivery]:
        """Publish in order, settle what the broker confirmed, and return the result of each.

        Repeating is safe: every repeat carries the same id and bytes.

        Raises:
            Unavailable: some may not be published, or published and not settled.
        """


class Publisher(Protocol):
    """A broker, seen from the outbox."""

    async def publish(self, publications: Sequence[Publication]) -> Sequence[bool]:
        """Publish in order. Once the broker has answered for all, return for each whether the broker took it:
        False if its routing refused it, because no queue is bound to the channel.

        Raises:
            BrokerUnavailable: some may not be published.
        """


class Store(Protocol):
    """The storage of the outbox."""

    async def claim_unpublished(self) -> Sequence[OutboxEntry]:
        """Take decisions that were not published in time; for one lease no other caller gets them.

        Raises:
            StoreUnavailable: nothing is lost; what was taken is due again later.
        """

    async def settle(self, entries: Sequence[OutboxEntry]) -> Sequence[bool]:
        """Remove published decisions, and return for each whether this call removed it.

        Raises:
            StoreUnavailable: some may still be there.
        """

    async def backlog(self) -> Backlog:
        """Return how many decisions are not settled, and since when the oldest, as far as the store looks.

        Raises:
            StoreUnavailable: unknown now.
        """


class Tracing(Protocol):
    """The tracer of decisions."""

    def decision(self, decision: Decision, event_id: str, since: int, until: int) -> None:
        """A decision was published and settled. In milliseconds: `since` its cause arrived, `until` now."""


class Metrics(Protocol):
    """The metrics of the outbox."""

    def decision(self, action: str, trigger: str) -> None:
        """A decision was published and settled; counted once however often it was tried."""

    def unroutable(self) -> None:
        """The broker's routing refused a decision: no queue is bound to its channel."""

    def decision_latency(self, seconds: float) -> None:
        """From the arrival of the deciding report to the confirmed publication."""
