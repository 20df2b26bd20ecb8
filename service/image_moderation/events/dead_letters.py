"""A dead letter read back: what was parked, for a person to look at and to send again."""

import base64
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from image_moderation.domain.message import NO_HEADERS
from image_moderation.events.models import DeadLettered

UNREADABLE = "unreadable"
"""The reason of what lies among the dead letters and is none."""

_PARKED: TypeAdapter[DeadLettered] = TypeAdapter(DeadLettered)


class Irrecoverable(Exception):
    """The original of a letter can't be had back; the text is one line for a person."""


@dataclass(frozen=True, slots=True)
class DeadLetterRecord:
    """A dead letter. Fields are those of the contract."""

    id: str
    time: str
    """When it was parked, RFC 3339."""
    reason: str
    error: str
    channel: str
    position: str
    deliveries: int
    size: int
    sha256: str
    truncated: bool
    body: bytes
    """The original bytes, or their beginning."""
    headers: dict[str, str]

    def original(self) -> bytes:
        """Return the original bytes.

        Raises:
            Irrecoverable: they are not all there, or not what came.
        """
        if self.reason == UNREADABLE:
            raise Irrecoverable("it is not a dead letter of this service")
        if self.truncated:
            raise Irrecoverable(f"only the first {len(self.body):,} of its {self.size:,} bytes were kept")
        if sha256(self.body).hexdigest() != self.sha256:
            raise Irrecoverable("its body is not the one that its checksum was made of")
        return self.body


def read_dead_letter(event: bytes, position: str) -> DeadLetterRecord:
    """Return the letter in `event`, which stands at `position` among the dead letters.

    What is none becomes a letter with the reason `unreadable` and the position as its id, so that it can
    be seen and removed.
    """
    try:
        parked: Any = _PARKED.validate_python(from_json(event))
        data = parked["data"]
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
    return DeadLetterRecord(**{**data, "body": body}, id=parked["id"], time=parked["time"])
