"""`dead-letters show`: one letter. What its message held is shown on demand only, for it may name people."""

import asyncio
import base64
import json
from typing import Annotated

import typer

from image_moderation.brokers.dead_letters import StoredDeadLetter
from image_moderation.cli.dead_letters.selection import facts, select
from image_moderation.cli.output import Failed, Json, plain, say, say_json
from image_moderation.events.dead_letters import DeadLetterRecord
from image_moderation.settings import Settings
from image_moderation.wiring import dead_letters


def show(
    letter_id: Annotated[str, typer.Argument(metavar="ID", help="A letter, by the id that `list` shows.")],
    raw: Annotated[
        bool,
        typer.Option("--raw", help="Show the body and the headers too; with --json the body is base64."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Show one dead letter; its body and the values of its headers are masked unless --raw."""
    parked, letter = asyncio.run(_find(Settings.load(), letter_id))
    headers = letter.headers if raw else dict.fromkeys(letter.headers, "***")
    if as_json:
        body = base64.b64encode(letter.body).decode() if raw else None
        say_json(facts(parked) | {"headers": headers, "body": body})
        return
    for name, value in facts(parked).items():
        say(f"{name}: {plain(json.dumps(value) if isinstance(value, bool) else value)}")
    for name, value in headers.items():
        say(f"header {plain(name)}: {plain(value)}")
    say(f"body: {_readable(letter.body)}" if raw else f"body: *** ({letter.size} bytes; --raw shows them)")


async def _find(settings: Settings, letter_id: str) -> tuple[StoredDeadLetter, DeadLetterRecord]:
    async with dead_letters(settings) as letters:
        found, _ = await select(letters, [letter_id], everything=False)
        letter = await letters.whole(found[0]) if found else None
    if letter is None:
        raise Failed(f"{plain(letter_id)}: no dead letter has this id")
    return found[0], letter


def _readable(body: bytes) -> str:
    """The body with its line breaks and tabs; what would steer a terminal is escaped."""
    text = body.decode(errors="backslashreplace")
    return "".join(c if c in "\n\t" else plain(c) for c in text)
