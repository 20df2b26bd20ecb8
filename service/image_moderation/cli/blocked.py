"""`blocked`: lists the images that are blocked now."""

import asyncio
import json

from image_moderation.cli.explanation import decision_facts, time_of
from image_moderation.cli.output import Json, note, say, table
from image_moderation.cli.scanning import report_unreadable, scan_progress
from image_moderation.cli.since import Since, parse_since
from image_moderation.domain.case import Case
from image_moderation.settings import Settings
from image_moderation.wiring import case_scan, clock

_COLUMNS = ("image", "revision", "decided at", "trigger")


def blocked(since: Since = None, as_json: Json = False) -> None:
    """List the images that are blocked, oldest decision first; with --json a line each, in no order.

    A line has the facts that the block relied on, as the event had them; `inspect` says them in words.
    """
    decided_since = parse_since(since, clock())
    found = asyncio.run(_blocked(Settings.load(), decided_since, as_json=as_json))
    if as_json:
        return
    if found:
        found.sort(key=lambda pair: (pair[1].decided_at, pair[0]))
        rows = [(image, case.revision, time_of(case.decided_at), case.trigger) for image, case in found]
        table(_COLUMNS, rows)
    else:
        note("nothing is blocked" if since is None else "nothing was blocked since then")


async def _blocked(settings: Settings, since: int | None, *, as_json: bool) -> list[tuple[str, Case]]:
    """Return the rows of the table; with `as_json` print each line as it comes, and return none."""
    found: list[tuple[str, Case]] = []
    async with case_scan(settings) as cases:
        with scan_progress() as show:
            async for image, case in cases.blocked(since, show):
                if as_json:
                    say(json.dumps({"image_id": image} | decision_facts(image, case)))
                else:
                    found.append(
                        (
                            image,
                            Case(revision=case.revision, decided_at=case.decided_at, trigger=case.trigger),
                        )
                    )
        report_unreadable(cases)
    return found
