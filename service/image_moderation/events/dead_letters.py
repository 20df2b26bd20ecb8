"""Reads a dead letter's event back, to show it and to publish its original again."""

import base64
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from image_moderation.domain.message import NO_HEADERS
from image_moderation.events.models import DeadLettered

UNREADABLE = "unreadable"
"""The reason given to an entry of the dead-letter channel that is no dead letter."""

_EVENT: TypeAdapter[DeadLettered] = TypeAdapter(DeadLettered)


class Irrecoverable(Exception):
    """The original of a dead letter can't be restored; the text is one line for a person."""


@dataclass(frozen=True, slots=True)
class DeadLetterRecord:
    """A dead letter, with the fields of the contract."""

    id: str
    time: str
    """When it became a dead letter, RFC 3339."""
    reason: str
    error: str
    channel: str
    position: str
    deliveries: int
    size: int
    sha256: str
    truncated: bool
    body: bytes
    """The original bytes; only the first ones if `truncated` and it is shorter than `size`."""
    headers: dict[str, str]
    """The original ones; if `truncated` perhaps not all."""

    def original(self) -> bytes:
        """Return the original bytes.

        Raises:
            Irrecoverable: not all of them were kept, or they differ from what was received.
        """
        if self.reason == UNREADABLE:
            raise Irrecoverable("it is not a dead letter of this service")
        if self.truncated and len(self.body) == self.size:
            raise Irrecoverable("its headers were too large, and not all of them were kept")
        if self.truncated:
            raise Irrecoverable(f"only the first {len(self.body):,} of its {self.size:,} bytes were kept")
        if sha256(self.body).hexdigest() != self.sha256:
            raise Irrecoverable("its body doesn't match its checksum")
        return self.body


def read_dead_letter(event: bytes, position: str) -> DeadLetterRecord:
    """Return the dead letter in `event`, which is at `position` of the dead-letter channel.

    Anything else becomes one with the reason `unreadable` and the position as its id, so that it can be seen
    and removed.
    """
    try:
        found: Any = _EVENT.validate_python(from_json(event))
        data = found["data"]
        body = base64.b64decode(data["body"], validate=True)
    except (ValidationError, ValueError):
        return DeadLetterRecord(
            id=position,
            time="",
            reason=UNREADABLE,
            error="this entry is not a dead letter of this service",
            channel="",
            position="",
            deliveries=1,
            size=len(event),
            sha256=sha256(event).hexdigest(),
            truncated=False,
            body=event,
            headers=dict(NO_HEADERS),
        )
    return DeadLetterRecord(**{**data, "body": body}, id=found["id"], time=found["time"])
