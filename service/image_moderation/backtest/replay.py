"""The replay: events in the order of their arrival, applied under every setting.

The clock is the arrival of the event in hand.
"""

from collections.abc import Sequence

from image_moderation.backtest.differences import NOTHING, Differences, Ending
from image_moderation.backtest.run import Image, Run, Setting
from image_moderation.domain.report import Report, Review, Tick

SWEEPS = 16
"""In the shortest life of a case: how often forgotten cases are looked for."""


class Replay:
    """A replay under several settings."""

    def __init__(self, settings: Sequence[Setting], *, keep_differences: int = 0) -> None:
        self.runs = [Run(setting) for setting in settings]
        self.differences = Differences(keep_differences)
        self.events = 0
        self.first: int | None = None
        """The first arrival, in milliseconds; None without events."""
        self.clock = 0
        self.images_reported = 0
        self.out_of_order = 0
        """Events that arrived before one that was applied before them."""
        self._images: dict[str, Image] = {}
        self._sweep_every = min(setting.keeps_open for setting in settings) // SWEEPS
        self._sweep_at = 0

    def add(self, event: Report | Review) -> None:
        """Apply the next event; the clock never goes back."""
        if event.arrived < self.clock:
            self.out_of_order += 1
        elif event.arrived > self.clock:
            self._advance(event.arrived)
        self.events += 1
        image = self._images.get(event.image_id)
        if image is None:
            image = self._images[event.image_id] = Image(len(self.runs))
        if isinstance(event, Report) and not event.retracted:
            self.images_reported += not image.reports
            image.reports += 1
        for run, track in zip(self.runs, image.tracks, strict=True):
            run.apply(image, track, event, self.clock)

    def end(self) -> None:
        """Count what waits, and compare the images that are left. Deadlines after the last event stay."""
        for image_id, image in self._images.items():
            self._compare(image_id, image)
            for run, track in zip(self.runs, image.tracks, strict=True):
                run.measures.withheld += track.case.withheld
        self._images.clear()

    def _advance(self, now: int) -> None:
        for number, run in enumerate(self.runs):
            while (due := run.next_due(now)) is not None:
                at, image_id = due
                if (image := self._images.get(image_id)) is not None:
                    run.apply(image, image.tracks[number], Tick(image_id), at)
        if self.first is None:
            self.first = now
        self.clock = now
        if now >= self._sweep_at:
            self._sweep(now)
            self._sweep_at = now + self._sweep_every

    def _sweep(self, now: int) -> None:
        """Drop the images that every setting has forgotten."""
        gone = [
            image_id
            for image_id, image in self._images.items()
            if all(track.until <= now for track in image.tracks)
        ]
        for image_id in gone:
            image = self._images.pop(image_id)
            for run, track in zip(self.runs, image.tracks, strict=True):
                run.forget(track)
            self._compare(image_id, image)

    def _compare(self, image_id: str, image: Image) -> None:
        if len(self.runs) > 1:
            endings = [Ending(track.history or NOTHING, track.best, track.case) for track in image.tracks]
            self.differences.compare(image_id, image.reports, endings)
