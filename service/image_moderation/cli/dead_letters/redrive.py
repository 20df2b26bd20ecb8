"""`dead-letters redrive`: publishes the original messages again, once their cause is repaired."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from image_moderation.brokers.dead_letters import DeadLetters, StoredDeadLetter
from image_moderation.cli.dead_letters.selection import select
from image_moderation.cli.output import Failed, complain, explain_outage, plain, progress, say, say_json
from image_moderation.domain.errors import Unavailable
from image_moderation.events.dead_letters import Irrecoverable
from image_moderation.settings import Settings
from image_moderation.wiring import dead_letters


@dataclass
class Result:
    """The outcome for each dead letter."""

    redriven: list[dict[str, str]] = field(default_factory=list)
    refused: list[dict[str, str]] = field(default_factory=list)

    def refuse(self, event_id: str, why: str) -> None:
        """Note that a dead letter stays, or does not exist."""
        self.refused.append({"id": event_id, "error": why})


def run(ids: Sequence[str] | None, *, as_json: bool) -> None:
    """Publish the messages of the dead letters with these ids, or of all."""
    result = Result()
    try:
        asyncio.run(_redrive(ids, result))
    except Unavailable as error:
        if result.redriven:
            _print(result, as_json=as_json)
        raise Failed(f"{explain_outage(error)}; {len(result.redriven)} were redriven before") from None
    _print(result, as_json=as_json)
    if result.refused:
        for one in result.refused:
            complain(f"{plain(one['id'])}: {plain(one['error'])}")
        raise Failed(f"{len(result.refused)} not redriven")


async def _redrive(ids: Sequence[str] | None, result: Result) -> None:
    async with dead_letters(Settings.load()) as queue:
        chosen, missing = await select(queue, ids)
        for event_id in missing:
            result.refuse(event_id, "no dead letter has this id")
        with progress("redriving", len(chosen)) as advance:
            for stored in chosen:
                await _redrive_one(queue, stored, result)
                advance(1)


async def _redrive_one(queue: DeadLetters, stored: StoredDeadLetter, result: Result) -> None:
    record = stored.record
    try:
        position = await queue.redrive(stored)
    except Irrecoverable as why:
        result.refuse(record.id, f"can't be redriven: {why}")
        return
    if position is None:
        result.refuse(record.id, "it was redriven or removed meanwhile")
    else:
        result.redriven.append({"id": record.id, "channel": record.channel, "position": position})


def _print(result: Result, *, as_json: bool) -> None:
    if as_json:
        say_json({"redriven": result.redriven, "refused": result.refused})
        return
    for one in result.redriven:
        place = f" as {one['position']}" if one["position"] else ""
        say(f"{plain(one['id'])} redriven to {plain(one['channel'])}{place}")
