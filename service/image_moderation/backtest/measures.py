"""What came of a replay under one setting, in memory that doesn't grow with the recording."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

MOST_BINS = 200
"""Of a timeline: with more, they are made wider."""
WIDTHS = [60_000 * minutes for minutes in (1, 5, 15, 60, 360, 1_440, 10_080, 40_320, 524_160)]
"""Of a bin, in milliseconds: each a multiple of the one before, up to 364 days."""


class Spread:
    """How numbers are distributed, to three digits: what is kept grows with their logarithm."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()

    def add(self, value: int) -> None:
        """Add a number that is not negative."""
        unit = 10 ** max(0, len(str(value)) - 3)
        self._counts[round(value / unit) * unit] += 1

    def __len__(self) -> int:
        return self._counts.total()

    def quantile(self, share: float) -> int | None:
        """Return the least value that at least `share` of all don't exceed; None without any."""
        wanted, seen = share * len(self), 0
        for value in sorted(self._counts):
            seen += self._counts[value]
            if seen >= wanted:
                return value
        return None

    def cumulative(self) -> Iterator[tuple[int, float]]:
        """Give each value, in order, with the share of all that don't exceed it."""
        seen = 0
        for value in sorted(self._counts):
            seen += self._counts[value]
            yield value, seen / len(self)


class Timeline:
    """How many happened when. Its bins are a minute wide at first, and wider the more they span."""

    def __init__(self) -> None:
        self.width = WIDTHS[0]
        """Of a bin, in milliseconds."""
        self._bins: Counter[int] = Counter()
        self._first = self._last = 0

    def add(self, time: int) -> None:
        """Add one at a time in milliseconds."""
        place = time // self.width
        if not self._bins:
            self._first = self._last = place
        self._bins[place] += 1
        self._first, self._last = min(self._first, place), max(self._last, place)
        while self._last - self._first >= MOST_BINS and self.width < WIDTHS[-1]:
            self.widen(WIDTHS[WIDTHS.index(self.width) + 1])

    def widen(self, width: int) -> None:
        """Make bins of `width` milliseconds, one of WIDTHS."""
        factor, old = width // self.width, self._bins
        self.width, self._bins = width, Counter()
        self._first, self._last = self._first // factor, self._last // factor
        for place, count in old.items():
            self._bins[place // factor] += count

    def bins(self) -> Iterator[tuple[int, int]]:
        """Give each bin's beginning in milliseconds and its number, from the first to the last."""
        if self._bins:
            for place in range(self._first, self._last + 1):
                yield place * self.width, self._bins[place]


@dataclass(slots=True)
class Measures:
    """What one setting made of the recording."""

    outcomes: Counter[str] = field(default_factory=Counter)
    """Events by their effect, deadlines not."""
    images_blocked: int = 0
    """Images that were blocked automatically at least once."""
    blocks: int = 0
    """Automatic blocks; an image that was cleared may be blocked again."""
    blocks_by_moderators: int = 0
    unblocks: int = 0
    upheld: int = 0
    """Automatic blocks that a later verdict in the recording upheld."""
    overturned: int = 0
    """Automatic blocks that a later verdict in the recording cleared."""
    after_cleared: int = 0
    """Automatic blocks of images that a moderator had cleared before."""
    time_to_block: Spread = field(default_factory=Spread)
    """Milliseconds from the first report to the automatic block: before that report none counted."""
    reports_needed: Spread = field(default_factory=Spread)
    """Reports of the image, duplicates too, from that first one to its automatic block."""
    reviews: Counter[str] = field(default_factory=Counter)
    """Reviews asked for, by trigger."""
    queue: int = 0
    """Images whose review is unanswered now."""
    greatest_queue: int = 0
    withheld: int = 0
    """Images whose block waits at the end."""
    blocks_over_time: Timeline = field(default_factory=Timeline)
    reviews_over_time: Timeline = field(default_factory=Timeline)

    def queued(self, more: int) -> None:
        """Count reviews that were added to the unanswered ones, or taken away."""
        self.queue += more
        self.greatest_queue = max(self.greatest_queue, self.queue)
