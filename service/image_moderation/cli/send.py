"""Sends one event of the command line: checks it with the service's parser, then publishes it."""

import asyncio

from image_moderation.cli.output import WrongCall, say, say_json
from image_moderation.domain.message import Outgoing, RawMessage
from image_moderation.events.parse import Malformed, parse
from image_moderation.settings import Settings
from image_moderation.wiring import broker_client, clock

_ARGUMENTS = {
    "image_id": "IMAGE",
    "reporter_id": "--reporter",
    "reporter_group": "--group",
    "reason": "--reason",
    "moderator_id": "--moderator",
}
"""The argument that fills each field of an event."""


def send(
    command: str, settings: Settings, channel: str, event_id: str, image: str, body: bytes, *, as_json: bool
) -> None:
    """Publish `body` and print its event's id.

    Raises:
        WrongCall: the service would make it a dead letter.
        BrokerUnavailable: it may not be published.
    """
    try:
        parse(RawMessage(channel, "", body, clock()), clock(), settings.max_event_bytes)
    except Malformed as malformed:
        raise WrongCall(f"{command}: {_by_argument(str(malformed))}") from None
    position = asyncio.run(_publish(settings, Outgoing(channel, body, key=image)))
    if as_json:
        say_json({"id": event_id, "channel": channel, "position": position, "image_id": image})
    else:
        say(event_id)


def _by_argument(error: str) -> str:
    """Return the parser's error with the arguments' names in place of the fields'."""
    for name, argument in _ARGUMENTS.items():
        error = error.replace(f"data.{name}: ", f"{argument}: ")
    return error


async def _publish(settings: Settings, message: Outgoing) -> str:
    async with broker_client(settings) as client:
        return (await client.publish([message]))[0]
