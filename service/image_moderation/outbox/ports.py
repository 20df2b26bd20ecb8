"""What the outbox needs from other rooms."""

from collections.abc import Sequence
from typing import Protocol

from image_moderation.domain.decision import Decision, OutboxEntry, Publication


class Sink(Protocol):
    """Publishes and settles."""

    async def deliver(self, publications: Sequence[Publication]) -> Sequence[bool | None]:
        """Publish in order, settle what the broker confirmed, and say of each whether this call settled it;
        None where the broker knows nobody to give it to.

        Repeating is safe: every repeat carries the same id and bytes.

        Raises:
            Unavailable: some may not be published, or published and not settled.
        """


class Publisher(Protocol):
    """A broker, seen from the outbox."""

    async def publish(self, publications: Sequence[Publication]) -> Sequence[bool]:
        """Publish in order, return once the broker has answered for all, and say of each whether it took it:
        False where it knows nobody to give it to.

        Raises:
            BrokerUnavailable: some may not be published.
        """


class Store(Protocol):
    """Where the outbox lies."""

    async def claim_unpublished(self) -> Sequence[OutboxEntry]:
        """Take decisions that nobody has published in time; for a while nobody else is given them.

        Raises:
            StoreUnavailable: nothing is lost; what was taken is due again later.
        """

    async def settle(self, entries: Sequence[OutboxEntry]) -> Sequence[bool]:
        """Remove published decisions, and say of each whether this call removed it.

        Raises:
            StoreUnavailable: some may still be there.
        """


class Tracing(Protocol):
    """Where the outbox's spans go."""

    def decision(self, decision: Decision, event_id: str, since: int, until: int) -> None:
        """A decision was published and settled; from what brought it about until now, in milliseconds."""


class Metrics(Protocol):
    """What the outbox tells the operators."""

    def decision(self, action: str, trigger: str) -> None:
        """A decision was published and settled; counted once however often it was tried."""

    def unroutable(self) -> None:
        """The broker knew nobody to give a decision to."""

    def decision_latency(self, seconds: float) -> None:
        """From the arrival of the deciding report to the confirmed publication."""
