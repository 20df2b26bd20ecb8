"""`dead-letters list`: lists the dead letters with their reasons."""

import asyncio

from image_moderation.brokers.dead_letters import StoredDeadLetter
from image_moderation.cli.dead_letters.selection import facts, select
from image_moderation.cli.output import note, say_json_line, table
from image_moderation.settings import Settings
from image_moderation.wiring import dead_letters

_COLUMNS = ("id", "time", "reason", "channel", "position", "bytes", "deliveries", "copies", "error")


def run(*, as_json: bool) -> None:
    """Print the dead letters, oldest first."""
    found = asyncio.run(_all(Settings.load()))
    if as_json:
        for one in found:
            say_json_line(facts(one))
    elif found:
        table(_COLUMNS, [_row(one) for one in found])
    else:
        note("no dead letters")


async def _all(settings: Settings) -> list[StoredDeadLetter]:
    async with dead_letters(settings) as queue:
        return (await select(queue, None))[0]


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
