"""What the policy must come to, said without its steps: the ledger that a history of events defines.

Written from the policy's statements, not from its code: each reporter's newest event is looked up in the
whole history, where the policy keeps records, floors and rounds. The two agree on every history whose
reports lie within one window; over many windows the ledger is taken of the round's own time alone.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from image_moderation.domain.report import Report


@dataclass(frozen=True, slots=True)
class Ledger:
    """What a history of one image's events says, whoever asks."""

    newest: dict[str, Report]
    """Each reporter's newest event; a retraction beats a report of its time, the first report stays."""
    first: int
    """Least and greatest time of all reports, whatever became of them; 0 without any."""
    last: int

    @property
    def standing(self) -> dict[str, Report]:
        return {who: event for who, event in self.newest.items() if not event.retracted}

    @property
    def score(self) -> int:
        """How many groups stand; a reporter without one counts alone."""
        standing = self.standing.values()
        groups = {event.group for event in standing if event.group is not None}
        return len(groups) + sum(event.group is None for event in standing)

    @property
    def reasons(self) -> dict[str, int]:
        return dict(Counter(event.reason for event in self.standing.values()))


def ledger(history: Sequence[Report]) -> Ledger:
    """The ledger of a whole history, in the order in which it arrived."""
    reporters = dict.fromkeys(event.reporter_id for event in history)
    times = [event.time for event in history if not event.retracted]
    return Ledger(
        newest={
            # max() returns the first of several that are equal.
            who: max(
                (event for event in history if event.reporter_id == who),
                key=lambda event: (event.time, event.retracted),
            )
            for who in reporters
        },
        first=min(times, default=0),
        last=max(times, default=0),
    )


def reports_between(history: Sequence[Report], first: int, last: int) -> Ledger:
    """The ledger of those reporters whose newest event lies in [first, last]."""
    whole = ledger(history)
    newest = {who: event for who, event in whole.newest.items() if first <= event.time <= last}
    return Ledger(newest, first, last)


def deciding(history: Sequence[Report], threshold: int) -> int | None:
    """The number of the event that blocks, the first whose history reaches the threshold, or None."""
    for number in range(len(history)):
        if ledger(history[: number + 1]).score >= threshold:
            return number
    return None
