"""`dead-letters redrive`: sends messages again, once what was wrong with them has been mended."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from image_moderation.brokers.dead_letters import DeadLetters, StoredDeadLetter
from image_moderation.cli.dead_letters.selection import All, Ids, check, select
from image_moderation.cli.output import Failed, Json, complain, explain_outage, plain, progress, say, say_json
from image_moderation.domain.errors import Unavailable
from image_moderation.events.dead_letters import Irrecoverable
from image_moderation.settings import Settings
from image_moderation.wiring import dead_letters


@dataclass
class Result:
    """What became of each letter."""

    redriven: list[dict[str, str]] = field(default_factory=list)
    refused: list[dict[str, str]] = field(default_factory=list)

    def refuse(self, letter_id: str, why: str) -> None:
        """A letter stays, or was not there."""
        self.refused.append({"id": letter_id, "error": why})


def redrive(ids: Ids = None, everything: All = False, as_json: Json = False) -> None:
    """Publish the original bytes and headers to the original channel, and delete the letter with it.

    A letter of which only the beginning was kept can't be redriven and stays.
    """
    check(ids, everything=everything, command="redrive")
    result = Result()
    try:
        asyncio.run(_redrive(ids, everything, result))
    except Unavailable as error:
        if result.redriven:
            _print(result, as_json=as_json)
        raise Failed(f"{explain_outage(error)}; {len(result.redriven)} were redriven before") from None
    _print(result, as_json=as_json)
    if result.refused:
        for one in result.refused:
            complain(f"{plain(one['id'])}: {plain(one['error'])}")
        raise Failed(f"{len(result.refused)} not redriven")


async def _redrive(ids: Sequence[str] | None, everything: bool, result: Result) -> None:
    async with dead_letters(Settings.load()) as letters:
        chosen, missing = await select(letters, ids, everything=everything)
        for letter_id in missing:
            result.refuse(letter_id, "no dead letter has this id")
        with progress("redriving", len(chosen)) as advance:
            for parked in chosen:
                await _redrive_one(letters, parked, result)
                advance(1)


async def _redrive_one(letters: DeadLetters, parked: StoredDeadLetter, result: Result) -> None:
    letter = parked.letter
    try:
        position = await letters.redrive(parked)
    except Irrecoverable as why:
        result.refuse(letter.id, f"can't be redriven: {why}")
        return
    if position is None:
        result.refuse(letter.id, "somebody else has redriven or removed it meanwhile")
    else:
        result.redriven.append({"id": letter.id, "channel": letter.channel, "position": position})


def _print(result: Result, *, as_json: bool) -> None:
    if as_json:
        say_json({"redriven": result.redriven, "refused": result.refused})
        return
    for one in result.redriven:
        place = f" as {one['position']}" if one["position"] else ""
        say(f"{plain(one['id'])} redriven to {plain(one['channel'])}{place}")
