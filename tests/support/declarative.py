"""A declarative definition of the policy's result: the ledger that a history of events defines.

Written from the policy's statements, not from its code: it looks up each reporter's newest event in the
whole history, where the policy keeps records, floors and rounds. Both agree on every history whose reports
lie within one window; over several windows, use the ledger of the round's own time range.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from image_moderation.domain.report import Report


@dataclass(frozen=True, slots=True)
class Ledger:
    """The result of a history of one image's events."""

    newest: dict[str, Report]
    """Each reporter's newest event; at equal time a retraction beats a report, and the first report stays."""
    first: int
    """`first` and `last`: least and greatest time of all reports, counted or not; 0 without reports."""
    last: int

    @property
    def standing(self) -> dict[str, Report]:
        return {who: event for who, event in self.newest.items() if not event.retracted}

    @property
    def score(self) -> int:
        """The number of standing groups; a reporter without a group counts as one."""
        standing = self.standing.values()
        groups = {event.group for event in standing if event.group is not None}
        return len(groups) + sum(event.group is None for event in standing)

    @property
    def reasons(self) -> dict[str, int]:
        return dict(Counter(event.reason for event in self.standing.values()))


def ledger(history: Sequence[Report]) -> Ledger:
    """Return the ledger of a whole history, which is in the order of arrival."""
    reporters = dict.fromkeys(event.reporter_id for event in history)
    times = [event.time for event in history if not event.retracted]
    return Ledger(
        newest={
            # max() returns the first of several equal ones.
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
    """Return the ledger of the reporters whose newest event lies in [first, last]."""
    whole = ledger(history)
    newest = {who: event for who, event in whole.newest.items() if first <= event.time <= last}
    return Ledger(newest, first, last)


def deciding(history: Sequence[Report], threshold: int) -> int | None:
    """Return the index of the first event whose history reaches the threshold, or None."""
    for number in range(len(history)):
        if ledger(history[: number + 1]).score >= threshold:
            return number
    return None
