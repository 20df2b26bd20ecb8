"""Messages as brokers deliver and publish them; their bodies are bytes, not parsed yet."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

NO_HEADERS: Mapping[str, str] = {}


def header_bytes(name: str, value: str) -> int:
    """Return the bytes of one header, its name included."""
    return len(name.encode()) + len(value.encode())


class RawMessage(NamedTuple):
    """One message as the broker delivered it."""

    channel: str
    position: str
    """Its place in the channel; the same at every redelivery."""
    body: bytes
    arrived: int | None = None
    """The broker's timestamp in milliseconds, None if the broker has none."""
    deliveries: int = 1
    """How often it has been delivered, this time included."""
    headers: Mapping[str, str] = NO_HEADERS
    handle: Any = None
    """For the transport that read it, which needs it to ack; opaque to everybody else."""

    @property
    def size(self) -> int:
        """Bytes of body and headers together."""
        if not self.headers:  # as nearly every message
            return len(self.body)
        return len(self.body) + sum(header_bytes(name, value) for name, value in self.headers.items())


class Outgoing(NamedTuple):
    """One message to be published."""

    channel: str
    body: bytes
    event_id: str = ""
    """The id of an event of this service, by which a broker may drop a repeat; with "" it drops none."""
    key: str = ""
    """The image's id: a broker that keeps order within a key keeps an image's messages in order."""
    headers: Mapping[str, str] = NO_HEADERS
    """For brokers that have headers: a redriven message's own, or a decision's trace."""


class DeadLetterReason(StrEnum):
    """Why a message became a dead letter. Open: a later version may add one."""

    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    NOT_AN_EVENT = "not_an_event"
    UNKNOWN_TYPE = "unknown_type"
    INVALID = "invalid"
    TIME_IN_FUTURE = "time_in_future"
    TOO_LARGE = "too_large"
    EMPTY = "empty"
    TOO_MANY_DELIVERIES = "too_many_deliveries"


class DeadLetter(NamedTuple):
    """A message that can't be understood, kept whole with the reason why."""

    message: RawMessage
    reason: DeadLetterReason
    error: str
    """One line for a person; never holds a value from the message."""
