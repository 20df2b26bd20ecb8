"""The interfaces that the intake needs from other rooms."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from image_moderation.domain.decision import Applied, OutboxEntry
from image_moderation.domain.message import DeadLetter, DeadLetterReason, RawMessage
from image_moderation.domain.report import Event


class Source(Protocol):
    """The broker: messages come from it, and dead letters go to it."""

    async def ack(self, messages: Sequence[RawMessage]) -> None:
        """Ack messages, all of one channel. Repeating is safe.

        Raises:
            BrokerUnavailable: some may not be acked.
        """

    async def park(self, dead_letters: Sequence[DeadLetter]) -> None:
        """Publish dead letters, in order, and return once the broker has confirmed them.

        Repeating may store a dead letter twice, under the same id.

        Raises:
            BrokerUnavailable: some may not be parked.
        """


class Store(Protocol):
    """The store: turns reports and reviews into decisions."""

    async def apply(self, events: Sequence[Event], *, retried: bool) -> Applied:
        """Apply a batch to its cases, and put the decisions into the outbox, atomically for each partition.

        Idempotent: an event that was applied before changes nothing. With `retried` the batch may have been
        applied before; the result then also holds the unsettled decisions of its partitions, so that a
        decision whose reply was lost is published without waiting for a sweep.

        Raises:
            StoreUnavailable: any part may have been applied; repeat with `retried`.
        """


class Outbox(Protocol):
    """The outbox: publishes decisions."""

    async def publish(self, entries: Sequence[OutboxEntry]) -> None:
        """Publish decisions and settle them, in order for each image. Repeating is safe.

        Raises:
            Unavailable: some may not be published; they stay in the outbox.
        """


class Metrics(Protocol):
    """Metrics of the intake. Called once a batch, never once a report."""

    def reports(self, outcomes: Mapping[str, int]) -> None:
        """Count reports by outcome."""

    def verdicts(self, outcomes: Mapping[str, int]) -> None:
        """Count verdicts by outcome."""

    def decision(self, action: str, trigger: str, mode: str) -> None:
        """Count a decision of shadow mode, which publishes none."""

    def dead_letter(self, reason: DeadLetterReason) -> None:
        """Count one dead letter."""

    def batch(self, size: int) -> None:
        """Observe a finished batch of `size` messages."""

    def report_age(self, seconds: float) -> None:
        """Observe the age of a batch's oldest report when the batch is finished."""
