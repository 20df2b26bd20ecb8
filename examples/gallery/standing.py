"""The truth about a picture, for one visitor: what the pages may promise.

Imports only the standard library.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from examples.gallery.events import Report
from examples.gallery.exhibition import Exhibition


@dataclass(frozen=True, slots=True)
class Rules:
    """The service's settings that the pages explain: set the same values as for the service."""

    window: timedelta = timedelta(days=30)
    immunity: timedelta = timedelta(days=30)
    review_grace: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """A picture's state, and whether this visitor's report of it is marked."""

    state: Literal["open", "withheld", "cleared", "blocked"]
    """`open`: enough reports block it. `withheld`: they don't for now, since a moderator was asked.
    `cleared`: a moderator keeps it, and until then no report counts."""
    reported: bool = False
    until: datetime | None = None
    """When the protection of a cleared picture ends."""

    @property
    def key(self) -> str:
        """Return which text is true: that of the state, or `again` if only the visitor's report is new."""
        return "again" if self.state == "open" and self.reported else self.state

    @property
    def shown_as(self) -> Literal["open", "blocked"]:
        return "blocked" if self.state == "blocked" else "open"

    @property
    def can_be_reported(self) -> bool:
        return self.state != "blocked" and not self.reported


def standing(
    exhibition: Exhibition, picture_id: str, report: Report | None, now: datetime, rules: Rules
) -> Standing:
    """Return the picture's standing for the visitor who made `report`."""
    cleared = exhibition.cleared_at(picture_id)
    until = None if cleared is None else cleared + rules.immunity
    recent = report is not None and report.at > now - rules.window
    # What was reported before the end of a protection has no effect after it.
    void = report is not None and until is not None and report.at <= until <= now
    reported = recent and not void
    if exhibition.blocked(picture_id):
        return Standing("blocked", reported)
    if until is not None and now < until:
        return Standing("cleared", reported, until)
    return Standing("withheld" if _withheld(exhibition, picture_id, now, rules) else "open", reported)


def _withheld(exhibition: Exhibition, picture_id: str, now: datetime, rules: Rules) -> bool:
    request = exhibition.request(picture_id)
    if request is None:
        return False
    counted, threshold = request.distinct_reporters, request.threshold
    enough = counted is not None and threshold is not None and counted >= threshold
    in_grace = rules.review_grace is not None and now < request.at + rules.review_grace
    return request.trigger == "breaker" or enough or in_grace
