"""`report --file`: publishes JSON lines of reports."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from pydantic_core import from_json

from image_moderation.brokers.port import BrokerClient
from image_moderation.cli.lines import open_lines, size_of
from image_moderation.cli.output import Failed, complain, explain_outage, plain, progress, say, say_json
from image_moderation.domain.errors import Unavailable
from image_moderation.domain.message import DeadLetterReason, Outgoing, RawMessage
from image_moderation.events.models import REPORTED_CHANNEL
from image_moderation.events.parse import Malformed, parse
from image_moderation.events.render import report_event
from image_moderation.settings import Settings
from image_moderation.wiring import broker_client, clock

SOURCE = "/image-moderation/cli"
_SHORT = ("image_id", "reporter_id", "reason", "reporter_group")


@dataclass
class Tally:
    """The progress with a file."""

    lines: int = 0
    published: int = 0
    refused: list[dict[str, Any]] = field(default_factory=list)


def report_file(file: Path, *, as_json: bool) -> None:
    """Publish the valid lines of `file`, in order, and list the others."""
    settings = Settings.load()
    tally = Tally()
    with progress("publishing", size_of(file)) as advance, open_lines(file, advance) as chunks:
        try:
            asyncio.run(_publish(settings, chunks, tally))
        except Unavailable as error:
            raise Failed(
                f"{explain_outage(error)}; {tally.published} events were published before; "
                f"of those from line {tally.lines + 1} on, some may be published"
            ) from None
    if as_json:
        say_json({"published": tally.published, "refused": tally.refused})
    else:
        say(f"{tally.published} published, {len(tally.refused)} refused")
    if tally.refused:
        raise Failed(f"{len(tally.refused)} of {tally.lines} lines were refused")


async def _publish(settings: Settings, chunks: Iterable[list[bytes]], tally: Tally) -> None:
    async with broker_client(settings) as client:
        for lines in chunks:
            await _publish_some(client, lines, settings.max_event_bytes, tally)


async def _publish_some(client: BrokerClient, lines: list[bytes], max_bytes: int, tally: Tally) -> None:
    messages: list[Outgoing] = []
    refused: list[dict[str, Any]] = []
    for number, line in enumerate(lines, tally.lines + 1):
        if not line.strip():
            continue
        try:
            messages.append(event_of(line.strip(), clock(), max_bytes))
        except Malformed as malformed:
            refused.append({"line": number, "reason": malformed.reason, "error": str(malformed)})
    if messages:
        await client.publish(messages)
    tally.lines += len(lines)
    tally.published += len(messages)
    tally.refused += refused
    for one in refused:
        complain(f"line {one['line']}: {one['reason']}: {plain(one['error'])}")


def event_of(line: bytes, now: int, max_bytes: int) -> Outgoing:
    """Return the event of a line: the line itself, or one made from a short object.

    Raises:
        Malformed: the service would make it a dead letter.
    """
    body = line
    try:
        given: Any = from_json(line, allow_inf_nan=False)
    except ValueError:
        given = None  # the parser raises with the reason
    if isinstance(given, dict) and "specversion" not in given and "image_id" in given:
        body = _event_of_object(given, now)
    try:
        report = parse(RawMessage(REPORTED_CHANNEL, "", body, now), now, max_bytes)
    except Malformed as malformed:
        # A short object has no `data`, and what stands in one line needs no number of a line.
        error = str(malformed) if body is line else str(malformed).replace("data.", "")
        raise Malformed(malformed.reason, error.replace(" at line 1 column ", " at column ")) from None
    return Outgoing(REPORTED_CHANNEL, body, key=report.image_id)


def _event_of_object(given: dict[str, Any], now: int) -> bytes:
    if unknown := sorted(set(given) - set(_SHORT)):
        takes = f"an object takes {', '.join(_SHORT)}; other fields need a whole event"
        raise Malformed(DeadLetterReason.INVALID, f"{', '.join(unknown)[:200]}: {takes}")
    if "reporter_id" not in given:
        raise Malformed(DeadLetterReason.INVALID, "reporter_id: is missing")
    for name in _SHORT[2:]:
        if given.get(name, "x") in ("", None):
            raise Malformed(DeadLetterReason.INVALID, f"{name}: is empty; leave it out")
    return report_event(
        event_id=str(uuid4()),
        source=SOURCE,
        time=now,
        image_id=given["image_id"],
        reporter_id=given["reporter_id"],
        reason=given.get("reason"),
        group=given.get("reporter_group"),
    )
