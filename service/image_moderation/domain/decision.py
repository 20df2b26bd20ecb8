"""A decision: what the policy resolved for one image, and the facts it relied on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from image_moderation.domain.message import Outgoing
from image_moderation.domain.report import Outcome


class Action(StrEnum):
    """What other services are asked to do. Open: a later version may add one."""

    BLOCK = "block"
    UNBLOCK = "unblock"
    REQUEST_REVIEW = "request_review"


class Trigger(StrEnum):
    """What brought the decision about. Open: a later version may add one."""

    THRESHOLD = "threshold"
    MODERATOR = "moderator"
    REVIEW_THRESHOLD = "review_threshold"
    URGENT_REASON = "urgent_reason"
    BREAKER = "breaker"


class State(StrEnum):
    """An image's state after a decision."""

    OPEN = "open"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class Decision:
    """Frozen once taken: every publication of it is a pure function of these fields."""

    image_id: str
    action: Action
    revision: int
    """1, 2, 3, ... in one life of a case."""
    decided_at: int
    """Milliseconds; grows strictly per image."""
    state: State
    trigger: Trigger
    automated: bool
    distinct_reporters: int
    """Distinct groups among the standing reporters; a reporter without a group is one of its own."""
    threshold: int
    reasons: Mapping[str, int]
    """Standing reporters by reason; sums to reporters, not to groups."""
    first_reported_at: int | None
    """None, like the next, where no report counts: a moderator's decision on an image nobody reported."""
    last_reported_at: int | None
    policy: str
    """Short stable hash of the effective policy."""
    traceparent: str | None = None
    """W3C Trace Context of the message that brought it about, where it had one."""


class OutboxEntry(NamedTuple):
    """A decision that is taken and not yet confirmed by the broker."""

    decision: Decision
    token: bytes
    """What the store needs to settle it; opaque to everybody else."""
    arrived: int | None = None
    """When the deciding report arrived, None where that is no longer known."""


class Publication(NamedTuple):
    """A decision ready to leave."""

    entry: OutboxEntry
    message: Outgoing
    """Its event: the same bytes under the same id at every attempt."""


class Applied(NamedTuple):
    """What a batch of reports did."""

    outcomes: Sequence[Outcome]
    """One a report, in the batch's order."""
    entries: Sequence[OutboxEntry]
    """Decisions to publish, in revision order for each image."""
    shadow: Sequence[Decision] = ()
    """What would have been decided, in shadow mode: to be counted and logged, never published."""
