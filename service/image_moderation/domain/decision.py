"""A decision about one image with the facts it relied on, and its way through the outbox."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from enum import Enum, StrEnum, auto
from typing import NamedTuple

from image_moderation.domain.message import Outgoing
from image_moderation.domain.report import Outcome


class Action(StrEnum):
    """The request to other services. Open: a later version may add one."""

    BLOCK = "block"
    UNBLOCK = "unblock"
    REQUEST_REVIEW = "request_review"


class Trigger(StrEnum):
    """The cause of a decision. Open: a later version may add one."""

    THRESHOLD = "threshold"
    MODERATOR = "moderator"
    REVIEW_THRESHOLD = "review_threshold"
    URGENT_REASON = "urgent_reason"
    BREAKER = "breaker"


class State(StrEnum):
    """An image's state after a decision."""

    OPEN = "open"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The facts that a decision relied on. None of them is personal, so a case keeps those of its latest."""

    distinct_reporters: int
    """Distinct groups among the standing reporters; a reporter without a group is one of its own."""
    threshold: int
    reasons: Mapping[str, int]
    """Standing reporters by reason; sums to reporters, not to groups."""
    first_reported_at: int | None
    """In milliseconds, of the reports that count. None, like `last_reported_at`, if none does: a moderator
    blocked an image without reports, or unblocked one.
    """
    last_reported_at: int | None
    policy: str
    """Short stable hash of the effective policy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision(Facts):
    """Never changes once taken: every publication of it is a pure function of these fields."""

    image_id: str
    action: Action
    revision: int
    """1, 2, 3, ... in one life of a case."""
    decided_at: int
    """Milliseconds; grows strictly per image."""
    state: State
    trigger: Trigger
    automated: bool
    traceparent: str | None = None
    """W3C Trace Context of the message that caused it; None if it had none."""

    @property
    def facts(self) -> Facts:
        """The facts alone, as a case keeps them."""
        return Facts(**{field.name: getattr(self, field.name) for field in fields(Facts)})


class OutboxEntry(NamedTuple):
    """A decision that is taken and not yet confirmed by the broker."""

    decision: Decision
    token: bytes
    """The store's own name for it, needed to settle it; opaque to every other room."""
    arrived: int | None = None
    """When the deciding report arrived, in milliseconds; None if that is no longer known."""


class Publication(NamedTuple):
    """A decision and the message that publishes it."""

    entry: OutboxEntry
    message: Outgoing
    """Its event: the same bytes under the same id at every attempt."""


class Delivery(Enum):
    """The result of one attempt to publish and settle a decision."""

    SETTLED = auto()
    """This call removed it from the outbox. Each decision is settled once."""
    ALREADY_SETTLED = auto()
    """An earlier call, or another replica, had removed it."""
    UNROUTABLE = auto()
    """The broker's routing refused it: no queue is bound. It stays in the outbox and is tried again."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """The decisions that wait in the outbox."""

    count: int
    oldest: int | None
    """When the oldest that was looked at was taken, in milliseconds; None if none waits."""


class Applied(NamedTuple):
    """The result of applying a batch of events."""

    outcomes: Sequence[Outcome]
    """One an event, in the batch's order."""
    entries: Sequence[OutboxEntry]
    """Decisions to publish, in revision order for each image."""
    shadow: Sequence[Decision] = ()
    """Shadow mode's decisions: to be counted and logged, never published."""
