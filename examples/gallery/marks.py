"""Who reported what: a report is marked for the visitor who made it, who can take it back.

Imports only the standard library.
"""

from collections import OrderedDict
from collections.abc import Collection

from examples.gallery.events import Report

_REPORTERS = 10_000  # those who reported last


class Marks:
    """Applies visitors' reports and retractions, in any order and however often."""

    def __init__(self, picture_ids: Collection[str]) -> None:
        self._picture_ids = picture_ids
        self._reports: OrderedDict[str, dict[str, Report]] = OrderedDict()

    def apply(self, report: Report) -> bool:
        """Apply a report or a retraction; return whether it changed anything."""
        if report.image_id not in self._picture_ids:
            return False
        own = self._reports.setdefault(report.reporter_id, {})
        self._reports.move_to_end(report.reporter_id)
        while len(self._reports) > _REPORTERS:
            self._reports.popitem(last=False)
        last = own.get(report.image_id)
        # As in the service: the newest counts, and at the same time the retraction.
        if last is not None and (report.at, report.retracted) <= (last.at, last.retracted):
            return False
        own[report.image_id] = report
        return True

    def report(self, reporter_id: str, picture_id: str) -> Report | None:
        """Return the visitor's report of a picture, None if there is none or it was taken back."""
        last = self._reports.get(reporter_id, {}).get(picture_id)
        return None if last is None or last.retracted else last
