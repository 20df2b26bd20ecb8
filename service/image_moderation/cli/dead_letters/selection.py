"""Selects the dead letters that a command names, and the facts that it may show."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from image_moderation.brokers.dead_letters import DeadLetters, StoredDeadLetter
from image_moderation.cli.output import WrongCall, progress

Ids = Annotated[
    list[str] | None, typer.Argument(metavar="ID…", help="Dead letters, by the ids that `list` shows.")
]
All = Annotated[bool, typer.Option("--all", help="All dead letters that there are now.")]


def check(ids: Sequence[str] | None, *, everything: bool, command: str) -> None:
    """Check that a call names either some dead letters or all.

    Raises:
        WrongCall: it names none, or both some and all.
    """
    if bool(ids) == everything:
        raise WrongCall(f"dead-letters {command}: name dead letters by ID, or take --all")


async def select(
    queue: DeadLetters, ids: Sequence[str] | None, *, everything: bool
) -> tuple[list[StoredDeadLetter], list[str]]:
    """Return the named dead letters, oldest first, and the ids that none of them has.

    Raises:
        BrokerUnavailable: call again.
    """
    with progress("reading", await queue.count()) as advance:
        found = await queue.stored(advance)
    if everything:
        return found, []
    wanted = list(dict.fromkeys(ids or ()))
    known = {one.record.id for one in found}
    return [one for one in found if one.record.id in wanted], [name for name in wanted if name not in known]


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
