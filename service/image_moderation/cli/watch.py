"""`watch`: shows decisions as they are published."""

import asyncio
import json
import signal
from typing import Any

from image_moderation.cli.output import note, plain, say
from image_moderation.events.models import DECISION_CHANNELS, REVIEW_CHANNEL
from image_moderation.settings import Settings
from image_moderation.wiring import broker_client

ASKED = "review requested"
"""Shown for a request for review in place of the state, which it doesn't change."""


def run(*, from_start: bool, as_json: bool) -> None:
    """Print each decision, until SIGINT or SIGTERM."""
    try:
        asyncio.run(_watch(Settings.load(), from_start=from_start, as_json=as_json))
    except (asyncio.CancelledError, KeyboardInterrupt):
        return  # the usual end


async def _watch(settings: Settings, *, from_start: bool, as_json: bool) -> None:
    # Handlers of our own, because shells start background processes with SIGINT ignored.
    if (task := asyncio.current_task()) is not None:
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    async with (
        broker_client(settings) as client,
        client.follow(DECISION_CHANNELS, from_start=from_start) as messages,
    ):
        note(f"watching {', '.join(DECISION_CHANNELS)}; Ctrl-C ends")
        async for channel, position, body in messages:
            if as_json:
                # A line break can only stand between JSON tokens, where a space means the same.
                say(body.decode(errors="backslashreplace").replace("\n", " ").replace("\r", " "))
            else:
                say(_line(channel, position, body))


def _line(channel: str, position: str, body: bytes) -> str:
    """Return one decision as a line for a person. Unknown and missing fields are left out."""
    try:
        data: dict[str, Any] = json.loads(body)["data"]
        reasons = ", ".join(f"{name} {count}" for name, count in dict(data.get("reasons", {})).items())
        facts = [
            data["decided_at"],
            data["image_id"],
            ASKED if channel == REVIEW_CHANNEL else data["state"],
            f"revision {data['revision']}",
            f"by {data.get('trigger', '?')}",
            f"{data['distinct_reporters']} of {data['threshold']} reporters" if "threshold" in data else "",
            reasons,
        ]
    except (ValueError, KeyError, TypeError):
        return f"{plain(channel)} {position}: not an event that this version understands"
    return "  ".join(plain(fact) for fact in facts if fact)
