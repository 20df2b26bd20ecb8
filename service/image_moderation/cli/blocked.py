"""`blocked`: lists the images that are blocked now."""

import asyncio
import heapq
import sys

from image_moderation.cli.explanation import decision_facts, time_of
from image_moderation.cli.output import note, say_json_line, table
from image_moderation.cli.scanning import report_unreadable, scan_progress
from image_moderation.cli.since import parse_since
from image_moderation.domain.case import Case
from image_moderation.settings import Settings
from image_moderation.wiring import case_scan, clock

_COLUMNS = ("image", "revision", "decided at", "trigger")


def run(since: str | None, limit: int | None, *, as_json: bool) -> None:
    """Print what is blocked; of more than `limit` the images that were decided last."""
    decided_since = parse_since(since, clock())
    asyncio.run(_blocked(Settings.load(), decided_since, limit, as_json=as_json))


async def _blocked(settings: Settings, since: int | None, limit: int | None, *, as_json: bool) -> None:
    at_once = as_json and limit is None
    newest: list[tuple[int, str, Case]] = []
    """A heap: the oldest is first, and leaves for a newer one."""
    total = 0
    async with case_scan(settings) as cases:
        # Beside lines on the same terminal there is no room for a bar.
        with scan_progress(shown=not (at_once and sys.stdout.isatty())) as show:
            async for image, case in cases.blocked(since, show):
                total += 1
                if at_once:
                    say_json_line({"image_id": image} | decision_facts(image, case))
                    continue
                kept = case
                if not as_json:  # a table of many needs no more
                    kept = Case(revision=case.revision, decided_at=case.decided_at, trigger=case.trigger)
                add = heapq.heappush if limit is None or total <= limit else heapq.heappushpop
                add(newest, (case.decided_at, image, kept))
        report_unreadable(cases)
    newest.sort()
    if as_json:
        for _, image, case in newest:
            say_json_line({"image_id": image} | decision_facts(image, case))
    elif newest:
        table(_COLUMNS, [_row(image, case) for _, image, case in newest])
        if total > len(newest):
            note(f"{len(newest)} of {total} are shown, those that were decided last")
    else:
        note("nothing is blocked" if since is None else "nothing was blocked since then")


def _row(image: str, case: Case) -> tuple[object, ...]:
    return image, case.revision, time_of(case.decided_at), case.trigger
