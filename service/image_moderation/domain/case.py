"""A case: all that is known about one image, as plain values."""

from dataclasses import dataclass, field
from typing import NamedTuple

from image_moderation.domain.decision import State, Trigger
from image_moderation.domain.report import OTHER, UNSPECIFIED, Verdict

REASON_TABLE_BYTES = 240
"""A case names its first reasons up to this many bytes, one each besides the text; later ones are `other`."""


class Record(NamedTuple):
    """The newest event of one reporter on one image."""

    time: int
    reason: str | None
    """None marks a retraction, kept as a tombstone."""
    group: str | None

    @property
    def stands(self) -> bool:
        return self.reason is not None


@dataclass(frozen=True, slots=True)
class Case:
    """One image's reporters, state and revision. The default is the case of an image without events.

    Reporters and groups are strings of the store's choice: hexadecimal digests in Redis, plain ids in memory.
    """

    state: State = State.OPEN
    floor: int = 0
    """A report at or before it never counts."""
    first: int = 0
    """Least and greatest time of the round's reports; 0 while there is no round."""
    last: int = 0
    score: int = 0
    revision: int = 0
    decided_at: int = 0
    trigger: Trigger | None = None
    """Of the latest decision."""
    verdict: Verdict | None = None
    """The newest by time."""
    verdict_time: int = 0
    asked_at: int = 0
    """When a review was requested in this round, by the service's clock; 0 if not."""
    shadow_asked_at: int = 0
    """Shadow mode: when a review would have been requested in this round; 0 if not."""
    shadow_blocked: bool = False
    """Shadow mode: the image would have been blocked in this round."""
    reasons: tuple[str, ...] = ()
    """The reasons named in this round, in order of arrival."""
    records: dict[str, Record] = field(default_factory=dict)

    def name_reason(self, reason: str) -> tuple[str, tuple[str, ...]]:
        """Return `(the reason to record, the table with it named)`."""
        if reason in (UNSPECIFIED, OTHER) or reason in self.reasons:
            return reason, self.reasons
        table = (*self.reasons, reason)
        if 1 + sum(len(name) + 1 for name in table) > REASON_TABLE_BYTES:
            return OTHER, self.reasons
        return reason, table
