"""`dead-letters list`: what is parked, and why."""

import asyncio

from image_moderation.brokers.dead_letters import StoredDeadLetter
from image_moderation.cli.dead_letters.selection import facts, select
from image_moderation.cli.output import Json, note, say_json, table
from image_moderation.settings import Settings
from image_moderation.wiring import dead_letters

_COLUMNS = ("id", "parked at", "reason", "channel", "position", "bytes", "deliveries", "copies", "error")


def list_letters(as_json: Json = False) -> None:
    """List the dead letters, oldest first; one that was parked more than once stands once, with a count."""
    parked = asyncio.run(_parked(Settings.load()))
    if as_json:
        say_json([facts(one) for one in parked])
    elif parked:
        table(_COLUMNS, [_row(one) for one in parked])
    else:
        note("no dead letters")


async def _parked(settings: Settings) -> list[StoredDeadLetter]:
    async with dead_letters(settings) as letters:
        return (await select(letters, None, everything=True))[0]


def _row(parked: StoredDeadLetter) -> tuple[object, ...]:
    letter = parked.letter
    return (
        letter.id,
        letter.time,
        letter.reason,
        letter.channel,
        letter.position,
        f"{letter.size}{' (truncated)' if letter.truncated else ''}",
        letter.deliveries,
        len(parked.entries),
        letter.error,
    )
