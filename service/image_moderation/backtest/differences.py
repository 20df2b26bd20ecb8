"""The images that some settings blocked and others did not, and why."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from image_moderation.domain.case import Case
from image_moderation.domain.decision import Decision


@dataclass(slots=True)
class History:
    """What was decided about one image under one setting."""

    blocked_at: int = 0
    """When it was first blocked automatically, in milliseconds; 0 for never."""
    reporters: int = 0
    """Distinct reporters at that block."""
    blocked_by_moderator: int = 0
    """When a moderator first blocked it, 0 for never."""
    reviews: int = 0
    cleared_at: int = 0
    """When a moderator last cleared it, 0 for never."""
    stands: bool = False
    """Whether the latest automatic block has not been cleared."""
    judged: bool = False
    """Whether a verdict has upheld that block."""

    def note_block(self, decision: Decision) -> None:
        """Note an automatic block."""
        if not self.blocked_at:
            self.blocked_at, self.reporters = decision.decided_at, decision.distinct_reporters
        self.stands, self.judged = True, False


class Ending(NamedTuple):
    """How one image ended under one setting."""

    history: History
    score: int
    """The greatest number of distinct reporters that counted together without a block."""
    case: Case


class Difference(NamedTuple):
    """One image on which settings differ."""

    reports: int
    image_id: str
    endings: Sequence[Ending]
    """One a setting."""


NOTHING = History()
"""Of an image about which nothing was decided."""


class Differences:
    """Counts those images, and keeps the ones with the most reports."""

    def __init__(self, keep: int) -> None:
        self.count = 0
        self._keep = keep
        self._kept: list[tuple[int, int, Difference]] = []

    def compare(self, image_id: str, reports: int, endings: Sequence[Ending]) -> None:
        """Compare how an image ended."""
        if len({bool(ending.history.blocked_at) for ending in endings}) == 1:
            return
        self.count += 1
        if not self._keep:
            return
        # The number keeps the first of two with as many reports, and images are never compared.
        entry = (reports, -self.count, Difference(reports, image_id, endings))
        if len(self._kept) < self._keep:
            heapq.heappush(self._kept, entry)
        else:
            heapq.heappushpop(self._kept, entry)

    @property
    def kept(self) -> list[Difference]:
        """Those with the most reports, the most first."""
        return [difference for *_, difference in sorted(self._kept, reverse=True)]
