"""How one event of the command line is sent: checked by the service's own parser first, then published."""

import asyncio

from service.cli.output import WrongCall, say, say_json
from service.domain.message import Outgoing, RawMessage
from service.events.parse import Malformed, parse
from service.settings import Settings
from service.tools import broker_tools, clock


def send(
    command: str, settings: Settings, channel: str, event_id: str, image: str, body: bytes, *, as_json: bool
) -> None:
    """Publish `body` and print its event's id.

    Raises:
        WrongCall: the service would refuse it.
        BrokerUnavailable: it may not be published.
    """
    try:
        parse(RawMessage(channel, "", body, clock()), clock(), settings.max_event_bytes)
    except Malformed as malformed:
        raise WrongCall(f"{command}: {malformed}") from None
    position = asyncio.run(_publish(settings, Outgoing(channel, body, key=image)))
    if as_json:
        say_json({"id": event_id, "channel": channel, "position": position, "image_id": image})
    else:
        say(event_id)


async def _publish(settings: Settings, message: Outgoing) -> str:
    async with broker_tools(settings) as tools:
        return (await tools.publish([message]))[0]
