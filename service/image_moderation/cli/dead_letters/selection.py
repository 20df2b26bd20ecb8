"""Which letters a command is about, and what it may show of them."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from image_moderation.brokers.dead_letters import DeadLetters, StoredDeadLetter
from image_moderation.cli.output import WrongCall, progress

Ids = Annotated[
    list[str] | None, typer.Argument(metavar="ID…", help="Letters, by the ids that `list` shows.")
]
All = Annotated[bool, typer.Option("--all", help="All letters there are now.")]


def check(ids: Sequence[str] | None, *, everything: bool, command: str) -> None:
    """Refuse a call that names no letters, or both some and all.

    Raises:
        WrongCall: it does.
    """
    if bool(ids) == everything:
        raise WrongCall(f"dead-letters {command}: name letters by ID, or take --all")


async def select(
    letters: DeadLetters, ids: Sequence[str] | None, *, everything: bool
) -> tuple[list[StoredDeadLetter], list[str]]:
    """Return the letters meant, oldest first, and the ids that no letter has.

    Raises:
        BrokerUnavailable: the server is away.
    """
    with progress("reading", await letters.count()) as advance:
        parked = await letters.parked(advance)
    if everything:
        return parked, []
    wanted = list(dict.fromkeys(ids or ()))
    known = {one.letter.id for one in parked}
    return [one for one in parked if one.letter.id in wanted], [name for name in wanted if name not in known]


def facts(parked: StoredDeadLetter) -> dict[str, Any]:
    """What may be shown of a letter to anybody, under the contract's names: all but what its message held."""
    letter = parked.letter
    return {
        "id": letter.id,
        "time": letter.time,
        "reason": letter.reason,
        "error": letter.error,
        "channel": letter.channel,
        "position": letter.position,
        "deliveries": letter.deliveries,
        "size": letter.size,
        "sha256": letter.sha256,
        "truncated": letter.truncated,
        "copies": len(parked.entries),
    }
