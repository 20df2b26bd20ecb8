"""`dead-letters list`: lists the dead letters with their reasons."""

import asyncio

from image_moderation.brokers.dead_letters import StoredDeadLetter
from image_moderation.cli.dead_letters.selection import facts, select
from image_moderation.cli.output import Json, note, say_json, table
from image_moderation.settings import Settings
from image_moderation.wiring import dead_letters

_COLUMNS = ("id", "time", "reason", "channel", "position", "bytes", "deliveries", "copies", "error")


def list_dead_letters(as_json: Json = False) -> None:
    """List the dead letters, oldest first. Copies of one dead letter are listed once, with their count."""
    found = asyncio.run(_all(Settings.load()))
    if as_json:
        say_json([facts(one) for one in found])
    elif found:
        table(_COLUMNS, [_row(one) for one in found])
    else:
        note("no dead letters")


async def _all(settings: Settings) -> list[StoredDeadLetter]:
    async with dead_letters(settings) as queue:
        return (await select(queue, None, everything=True))[0]


def _row(stored: StoredDeadLetter) -> tuple[object, ...]:
    record = stored.record
    return (
        record.id,
        record.time,
        record.reason,
        record.channel,
        record.position,
        f"{record.size}{' (truncated)' if record.truncated else ''}",
        record.deliveries,
        len(stored.entries),
        record.error,
    )
