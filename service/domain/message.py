"""What a broker hands over, before anybody has looked inside."""

from collections.abc import Mapping
from typing import NamedTuple

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


class DeadLetter(NamedTuple):
    """A message that can't be understood, kept whole with the reason why."""

    message: RawMessage
    reason: str
    """One of `events.REASONS`."""
    error: str
    """One line for a person; never holds a value from the message."""
