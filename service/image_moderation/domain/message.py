"""What brokers hand over, before anybody has looked inside, and what they are given."""

from collections.abc import Mapping
from typing import Any, NamedTuple

NO_HEADERS: Mapping[str, str] = {}


class RawMessage(NamedTuple):
    """One message as the broker delivered it."""

    channel: str
    position: str
    """Where it stands in its channel; the same at every redelivery."""
    body: bytes
    arrived: int | None = None
    """The broker's own stamp in milliseconds, None where it has none."""
    deliveries: int = 1
    """How often it has been delivered, this time included."""
    headers: Mapping[str, str] = NO_HEADERS
    handle: Any = None
    """What the adapter that read it needs to ack it; nobody else's business."""


class Outgoing(NamedTuple):
    """One message to be published."""

    channel: str
    body: bytes
    event_id: str = ""
    """The id of an event of this service's own, by which a broker may drop a repeat; "" is never dropped."""
    key: str = ""
    """What belongs together, an image's id: a broker that keeps order within a key keeps it for these."""
    headers: Mapping[str, str] = NO_HEADERS
    """For brokers that have such: all of a message that is sent on as it came, of a decision its trace."""


class DeadLetter(NamedTuple):
    """A message that can't be understood, kept whole with the reason why."""

    message: RawMessage
    reason: str
    """One of `events.REASONS`."""
    error: str
    """One line for a person; never holds a value from the message."""
