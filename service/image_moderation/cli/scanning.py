"""What the commands that look through all cases have in common."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from image_moderation.cli.output import complain, progress
from image_moderation.store.scan import CaseScan


@contextmanager
def looking() -> Iterator[Callable[[int, int], None]]:
    """A bar while the store is looked through; call the value with keys looked at and their total."""
    seen = 0
    with progress("looking", 1.0) as advance:

        def show(looked_at: int, total: int) -> None:
            nonlocal seen
            if total:
                advance((looked_at - seen) / total)
            seen = looked_at

        yield show


def report_unreadable(scan: CaseScan) -> None:
    """Say on standard error what had to be left out."""
    if scan.unreadable:
        complain(f"keys left out, for they hold no case that this version can read: {scan.unreadable}")
