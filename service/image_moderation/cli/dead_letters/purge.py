"""`dead-letters purge`: removes dead letters for good."""

import asyncio
from collections.abc import Sequence
from typing import Annotated

import typer

from image_moderation.cli.dead_letters.selection import All, Ids, check, select
from image_moderation.cli.output import Failed, Json, WrongCall, note, plain, progress, say, say_json
from image_moderation.settings import Settings
from image_moderation.wiring import dead_letters


def purge(
    ids: Ids = None,
    everything: All = False,
    yes: Annotated[bool, typer.Option("--yes", help="Confirm that they are removed for good.")] = False,
    as_json: Json = False,
) -> None:
    """Remove dead letters and the messages in them for good. Needs --yes."""
    check(ids, everything=everything, command="purge")
    if not yes:
        raise WrongCall("dead-letters purge: it removes messages for good; confirm with --yes")
    purged, missing = asyncio.run(_purge(ids, everything))
    if as_json:
        say_json({"purged": purged, "missing": missing})
    else:
        say(f"{len(purged)} purged")
    if missing:
        raise Failed("\n".join(f"{plain(name)}: no dead letter has this id" for name in missing))


async def _purge(ids: Sequence[str] | None, everything: bool) -> tuple[list[str], list[str]]:
    async with dead_letters(Settings.load()) as queue:
        chosen, missing = await select(queue, ids, everything=everything)
        entries = sum(len(one.entries) for one in chosen)
        with progress("purging", entries) as advance:
            await queue.purge(chosen, advance)
        if chosen and queue.purge_note:
            note(queue.purge_note)
        return [one.record.id for one in chosen], missing
