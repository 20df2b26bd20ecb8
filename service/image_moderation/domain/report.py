"""The events that the policy takes, reports, reviews and ticks, and the outcome of each.

Times are integers, milliseconds since 1970 UTC, everywhere inside the service.
"""

from enum import StrEnum
from typing import NamedTuple

UNSPECIFIED = "unspecified"
OTHER = "other"


class Report(NamedTuple):
    """One person's statement that one image should be looked at, or the withdrawal of it.

    A NamedTuple, because one is built for every message and this is the cheapest immutable value.
    """

    image_id: str
    reporter_id: str
    time: int
    """When the person reported, never later than `arrived`."""
    arrived: int
    """When the broker, or failing that the service, first saw the message."""
    reason: str = UNSPECIFIED
    group: str | None = None
    retracted: bool = False
    """True where this withdraws the reporter's earlier report."""
    traceparent: str | None = None
    """W3C Trace Context of the message, carried to the decision it causes."""


class Verdict(StrEnum):
    """A moderator's verdict on an image."""

    UPHELD = "upheld"
    """It is to be blocked."""
    CLEARED = "cleared"
    """It is not to be blocked, for a while."""


class Review(NamedTuple):
    """A moderator's verdict on one image, which answers what was reported so far."""

    image_id: str
    time: int
    """When the moderator decided, never later than `arrived`."""
    arrived: int
    verdict: Verdict
    traceparent: str | None = None
    """As a report's."""


class Tick(NamedTuple):
    """A block that was withheld may be due by now: look at the case again."""

    image_id: str
    traceparent: None = None
    """A tick continues no trace."""


Event = Report | Review | Tick


class Outcome(StrEnum):
    """The effect of one event on its case."""

    COUNTED = "counted"
    """The score rose by one."""
    DUPLICATE = "duplicate"
    """The score stayed: this reporter, or this reporter's group, counts already."""
    ALREADY_BLOCKED = "already_blocked"
    LATE = "late"
    """At or before the floor: older than the window, or than what a block or a verdict has closed."""
    RETRACTED = "retracted"
    """A retraction now stands."""
    RETRACTED_BEFORE = "retracted_before"
    """A report older than this reporter's retraction."""
    STALE = "stale"
    """A retraction or a review older than the one that stands."""
    HELD = "held"
    """Only where a block is withheld: the case is full, or the report would make others slide out."""
    UPHELD = "upheld"
    CLEARED = "cleared"
    TICKED = "ticked"
