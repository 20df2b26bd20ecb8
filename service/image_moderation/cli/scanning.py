"""Shared by the commands that scan all cases: the progress bar and the report of unreadable keys."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from image_moderation.cli.output import complain, progress
from image_moderation.store.scan import CaseScan


@contextmanager
def scan_progress(*, shown: bool = True) -> Iterator[Callable[[int, int], None]]:
    """Show a bar during a scan; call the value with the number of keys scanned and their total."""
    seen = 0
    with progress("scanning", 1.0, shown=shown) as advance:

        def show(scanned: int, total: int) -> None:
            nonlocal seen
            if total:
                advance((scanned - seen) / total)
            seen = scanned

        yield show


def report_unreadable(scan: CaseScan) -> None:
    """Print how many keys the scan left out."""
    if scan.unreadable:
        complain(f"keys left out, because this version can read no case in them: {scan.unreadable}")
