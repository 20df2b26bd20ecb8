"""Selects the dead letters that a command names, and the facts that it may show."""

from collections.abc import Sequence
from typing import Any

from image_moderation.brokers.dead_letters import DeadLetters, StoredDeadLetter
from image_moderation.cli.output import plain, progress


async def select(queue: DeadLetters, ids: Sequence[str] | None) -> tuple[list[StoredDeadLetter], list[str]]:
    """Return the dead letters with these ids, or all, oldest first; and the ids that none of them has.

    Raises:
        BrokerUnavailable: call again.
    """
    with progress("reading", await queue.count()) as advance:
        found = await queue.stored(advance)
    if ids is None:
        return found, []
    wanted = list(dict.fromkeys(ids))
    known = {one.record.id for one in found}
    return [one for one in found if one.record.id in wanted], [name for name in wanted if name not in known]


def missing_lines(ids: Sequence[str]) -> str:
    """Return a line for each id that no dead letter has."""
    return "\n".join(f"{plain(name)}: no dead letter has this id" for name in ids)


def facts(stored: StoredDeadLetter) -> dict[str, Any]:
    """Return the fields that anybody may see, under the contract's names: all except the message."""
    record = stored.record
    return {
        "id": record.id,
        "time": record.time,
        "reason": record.reason,
        "error": record.error,
        "channel": record.channel,
        "position": record.position,
        "deliveries": record.deliveries,
        "size": record.size,
        "sha256": record.sha256,
        "truncated": record.truncated,
        "copies": len(stored.entries),
    }
