"""`dead-letters purge`: removes letters for good."""

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
    yes: Annotated[bool, typer.Option("--yes", help="Yes, remove them for good.")] = False,
    as_json: Json = False,
) -> None:
    """Remove dead letters, with the messages they hold, for good. Wants --yes."""
    check(ids, everything=everything, command="purge")
    if not yes:
        raise WrongCall("dead-letters purge: it removes messages for good; say --yes")
    purged, missing = asyncio.run(_purge(ids, everything))
    if as_json:
        say_json({"purged": purged, "missing": missing})
    else:
        say(f"{len(purged)} purged")
    if missing:
        raise Failed("\n".join(f"{plain(name)}: no dead letter has this id" for name in missing))


async def _purge(ids: Sequence[str] | None, everything: bool) -> tuple[list[str], list[str]]:
    async with dead_letters(Settings.load()) as letters:
        chosen, missing = await select(letters, ids, everything=everything)
        entries = sum(len(one.entries) for one in chosen)
        with progress("purging", entries) as advance:
            await letters.purge(chosen, advance)
        if chosen and letters.purge_note:
            note(letters.purge_note)
        return [one.letter.id for one in chosen], missing
