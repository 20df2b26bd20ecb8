"""A case: all that is known about one image, as plain values."""

from dataclasses import asdict, dataclass, field
from typing import NamedTuple

from image_moderation.domain.decision import Action, Decision, Facts, State, Trigger
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


class ReviewRequest(NamedTuple):
    """A request for a moderator's review that no verdict has answered."""

    at: int
    """When it was first made, by the service's clock."""
    rests_on: int
    """The newest report that stood when it was last made. Once the floor has passed it, it is forgotten."""
    by_breaker: bool = False
    """Whether the breaker was a reason for it."""


@dataclass(frozen=True, slots=True)
class Case:
    """One image's reporters, state and revision. The default is the case of an image without events.

    Reporters and groups are strings of the store's choice: hexadecimal digests in Redis, plain ids in memory.
    """

    state: State = State.OPEN
    floor: int = 0
    """Nothing at or before it counts or is kept. It never falls."""
    last: int = 0
    """The greatest time of a report, superseded ones too; 0 without one."""
    score: int = 0
    """Distinct groups among the standing reporters."""
    revision: int = 0
    decided_at: int = 0
    trigger: Trigger | None = None
    """Of the latest decision."""
    facts: Facts | None = None
    """Of the latest decision, whatever happened since; None if it was stored before facts were."""
    verdict: Verdict | None = None
    """The newest by time. `upheld` of an open case was given in shadow mode, and is not applied."""
    verdict_time: int = 0
    withheld: bool = False
    """The threshold is reached, and grace or the breaker withholds the block."""
    review: ReviewRequest | None = None
    shadow_review: ReviewRequest | None = None
    """What shadow mode would have requested."""
    shadow_blocked: bool = False
    """Shadow mode: the image would have been blocked, and no verdict has cleared it since."""
    reasons: tuple[str, ...] = ()
    """The reasons that records may name, in order of arrival."""
    records: dict[str, Record] = field(default_factory=dict)
    """In the order of their times, so that what slides out of the window is at the beginning."""

    @property
    def known(self) -> bool:
        """False for an image without events, also if its case was forgotten a moment ago."""
        return self != Case(decided_at=self.decided_at)

    @property
    def last_action(self) -> Action | None:
        """The latest decision's action; None if nothing was decided."""
        if not self.revision:
            return None
        if self.state is State.BLOCKED:
            return Action.BLOCK
        return Action.UNBLOCK if self.trigger is Trigger.MODERATOR else Action.REQUEST_REVIEW

    def last_decision(self, image_id: str) -> Decision | None:
        """Return the latest decision, without its trace; None if there is none, or its facts are unknown."""
        action = self.last_action
        if action is None or self.trigger is None or self.facts is None:
            return None
        return Decision(
            **asdict(self.facts),
            image_id=image_id,
            action=action,
            revision=self.revision,
            decided_at=self.decided_at,
            state=self.state,
            trigger=self.trigger,
            automated=self.trigger is not Trigger.MODERATOR,
        )

    @property
    def reported(self) -> tuple[int, int] | None:
        """The least and the greatest time of the reports that count; None if none does."""
        times = [record.time for record in self.records.values() if record.stands]
        return (min(times), max(times)) if times else None

    def name_reason(self, reason: str) -> tuple[str, tuple[str, ...]]:
        """Return `(the reason to record, the table with it named)`.

        A full table is written anew from the records, which may have slid out of the window since.
        """
        if reason in (UNSPECIFIED, OTHER) or reason in self.reasons:
            return reason, self.reasons
        if _fits(table := (*self.reasons, reason)):
            return reason, table
        used = dict.fromkeys(record.reason for record in self.records.values())
        named = tuple(name for name in used if name not in (None, UNSPECIFIED, OTHER))
        return (reason, table) if _fits(table := (*named, reason)) else (OTHER, named)


def _fits(table: tuple[str, ...]) -> bool:
    return 1 + sum(len(name) + 1 for name in table) <= REASON_TABLE_BYTES
