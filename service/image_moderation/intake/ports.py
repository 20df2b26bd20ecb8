"""The interfaces that the intake needs from other rooms."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from image_moderation.domain.decision import Applied, OutboxEntry
from image_moderation.domain.message import DeadLetter, DeadLetterReason, RawMessage
from image_moderation.domain.report import Report, Tick, Verdict


class Source(Protocol):
    """Where messages come from and malformed ones go."""

    async def ack(self, messages: Sequence[RawMessage]) -> None:
        """Tell the broker that these messages, all of one channel, are done with. Repeating is safe.

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
    """Where reports and verdicts become decisions."""

    async def apply(self, events: Sequence[Report | Verdict | Tick], *, retried: bool) -> Applied:
        """Apply a batch to its cases, and put the decisions into the outbox, atomically for each partition.

        Idempotent: an event that was applied before changes nothing. With `retried` the batch may
        have been applied before, and the result also holds what its partitions have decided and not
        settled, so that a decision whose reply was lost is published without waiting for a sweep.

        Raises:
            StoreUnavailable: any part may have been applied; repeat with `retried`.
        """


class Outbox(Protocol):
    """Where decisions leave."""

    async def publish(self, entries: Sequence[OutboxEntry]) -> None:
        """Publish decisions and settle them, in order for each image. Repeating is safe.

        Raises:
            Unavailable: some may not be published; they stay in the outbox.
        """


class Metrics(Protocol):
    """Metrics of the intake. Called once a batch, never once a report."""

    def reports(self, outcomes: Mapping[str, int]) -> None:
        """How many reports had which outcome."""

    def verdicts(self, outcomes: Mapping[str, int]) -> None:
        """How many verdicts had which outcome."""

    def decision(self, action: str, trigger: str, mode: str) -> None:
        """One decision was taken in a mode that publishes none."""

    def dead_letter(self, reason: DeadLetterReason) -> None:
        """One message became a dead letter."""

    def batch(self, size: int) -> None:
        """A batch was finished; `size` counts messages."""

    def report_age(self, seconds: float) -> None:
        """Age of the batch's oldest report when it was finished."""
