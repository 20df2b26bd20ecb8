"""Reads the streams of a Redis broker with the service's own parser."""

from typing import cast

import redis

from image_moderation.domain.message import RawMessage
from image_moderation.domain.report import Report, Review
from image_moderation.events.parse import parse
from image_moderation.wiring import clock

Stream = list[tuple[bytes, dict[bytes, bytes]]]


def stream(client: redis.Redis, name: str) -> Stream:
    return cast("Stream", client.xrange(name))


def parsed(client: redis.Redis, channel: str) -> list[Report | Review]:
    """Return the events of a stream, parsed by the service's parser."""
    return [
        parse(RawMessage(channel, entry.decode(), fields[b"__data__"]), clock(), 65_536)
        for entry, fields in stream(client, channel)
    ]
