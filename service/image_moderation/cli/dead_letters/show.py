"""`dead-letters show`: shows one dead letter; its message only with --raw, because it may name people."""

import asyncio
import base64
import json

from image_moderation.brokers.dead_letters import StoredDeadLetter
from image_moderation.cli.dead_letters.selection import facts, select
from image_moderation.cli.output import Failed, plain, say, say_json
from image_moderation.events.dead_letters import DeadLetterRecord
from image_moderation.settings import Settings
from image_moderation.wiring import dead_letters


def run(event_id: str, *, raw: bool, as_json: bool) -> None:
    """Print one dead letter."""
    stored, record = asyncio.run(_find(Settings.load(), event_id))
    headers = record.headers if raw else dict.fromkeys(record.headers, "***")
    if as_json:
        body = base64.b64encode(record.body).decode() if raw else None
        say_json(facts(stored) | {"headers": headers, "body": body})
        return
    for name, value in facts(stored).items():
        say(f"{name}: {plain(json.dumps(value) if isinstance(value, bool) else value)}")
    for name, value in headers.items():
        say(f"header {plain(name)}: {plain(value)}")
    say(f"body: {_readable(record.body)}" if raw else f"body: *** ({record.size} bytes; --raw shows them)")


async def _find(settings: Settings, event_id: str) -> tuple[StoredDeadLetter, DeadLetterRecord]:
    async with dead_letters(settings) as queue:
        found, _ = await select(queue, [event_id])
        record = await queue.whole(found[0]) if found else None
    if record is None:
        raise Failed(f"{plain(event_id)}: no dead letter has this id")
    return found[0], record


def _readable(body: bytes) -> str:
    """Return the body as text with its line breaks and tabs; other control characters are escaped."""
    text = body.decode(errors="backslashreplace")
    return "".join(c if c in "\n\t" else plain(c) for c in text)
