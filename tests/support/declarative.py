"""A declarative definition of the policy's result, for histories of reports and retractions of one image.

Written from the policy's statements, not from its code: it looks up each reporter's newest event in the whole
history, where the policy keeps records and a floor.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from image_moderation.domain.report import Report


@dataclass(frozen=True, slots=True)
class Ledger:
    """The result of a history of one image's events, within the window that ends at its last report."""

    newest: dict[str, Report]
    """Each reporter's newest event; at equal time a retraction beats a report, and the first report stays."""
    last: int
    """The greatest time of all reports, counted or not; 0 without reports."""

    @property
    def standing(self) -> list[Report]:
        return [event for event in self.newest.values() if not event.retracted]

    @property
    def score(self) -> int:
        return groups(self.standing)

    @property
    def reasons(self) -> dict[str, int]:
        return dict(Counter(event.reason for event in self.standing))

    @property
    def reported(self) -> tuple[int | None, int | None]:
        """Least and greatest time of the reports that count."""
        times = [event.time for event in self.standing]
        return min(times, default=None), max(times, default=None)


def groups(reports: Iterable[Report]) -> int:
    """The number of distinct groups; a reporter without a group counts as one."""
    events = list(reports)
    named = {event.group for event in events if event.group is not None}
    return len(named) + len({event.reporter_id for event in events if event.group is None})


def ledger(history: Sequence[Report], window: int) -> Ledger:
    """Return the ledger of a whole history, which is in the order of arrival."""
    last = max((event.time for event in history if not event.retracted), default=0)
    newest: dict[str, Report] = {}
    for event in history:
        known = newest.get(event.reporter_id)
        if known is None or (event.time, event.retracted) > (known.time, known.retracted):
            newest[event.reporter_id] = event
    return Ledger({who: event for who, event in newest.items() if event.time >= last - window}, last)


def deciding(history: Sequence[Report], window: int, threshold: int) -> int | None:
    """Return the index of the first event whose history reaches the threshold, or None."""
    for number in range(len(history)):
        if ledger(history[: number + 1], window).score >= threshold:
            return number
    return None


def first_full_window(history: Sequence[Report], window: int, threshold: int) -> int | None:
    """Return the index of the first report, of some in the order of their times, that makes any window hold
    the threshold of distinct groups; None if none does. For reporters that keep their group.
    """
    for number in range(len(history)):
        so_far = history[: number + 1]
        if any(
            groups(event for event in so_far if start.time <= event.time <= start.time + window) >= threshold
            for start in so_far
        ):
            return number
    return None
