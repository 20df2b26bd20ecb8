"""`dead-letters purge`: removes dead letters for good."""

import asyncio
from collections.abc import Sequence

from image_moderation.brokers.dead_letters import StoredDeadLetter
from image_moderation.cli.dead_letters.selection import missing_lines, select
from image_moderation.cli.output import Failed, confirmation, note, progress, say, say_json
from image_moderation.settings import Settings
from image_moderation.wiring import dead_letters


def run(ids: Sequence[str] | None, *, yes: bool, as_json: bool) -> None:
    """Remove the dead letters with these ids, or all, once that is confirmed."""
    ask = confirmation("dead-letters purge: it removes messages", yes=yes)
    settings = Settings.load()
    if not yes:
        # Asked without a connection, which would not outlive a long thought; and what came meanwhile stays.
        ids = [one.record.id for one in asyncio.run(_chosen(settings, ids))]
        if ids:
            letters = "1 dead letter and its message" if len(ids) == 1 else f"{len(ids)} dead letters"
            ask(f"Remove {letters} for good?")
    purged, missing = asyncio.run(_purge(settings, ids))
    if as_json:
        say_json({"purged": purged, "missing": missing})
    else:
        say(f"{len(purged)} purged")
    if missing:
        raise Failed(missing_lines(missing))


async def _chosen(settings: Settings, ids: Sequence[str] | None) -> list[StoredDeadLetter]:
    async with dead_letters(settings) as queue:
        chosen, missing = await select(queue, ids)
    if missing:
        raise Failed(missing_lines(missing))
    return chosen


async def _purge(settings: Settings, ids: Sequence[str] | None) -> tuple[list[str], list[str]]:
    async with dead_letters(settings) as queue:
        chosen, missing = await select(queue, ids)
        entries = sum(len(one.entries) for one in chosen)
        with progress("purging", entries) as advance:
            await queue.purge(chosen, advance)
        if chosen and queue.purge_note:
            note(queue.purge_note)
        return [one.record.id for one in chosen], missing
