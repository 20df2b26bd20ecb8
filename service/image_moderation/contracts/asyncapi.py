"""The AsyncAPI document: the channels, and the events that the service receives and sends on each.

FastStream's generator writes it from a broker that is never connected and declares the channels of the
service. Its channels and operations are right. Its messages are not: it merges the two events of
`image.reported` into one, takes a dead letter's data for the whole event, adds a correlation id, and
describes a server and bindings that the specification doesn't know. This module corrects them.
"""

import json
from typing import Any

from faststream.redis import RedisBroker, StreamSub
from faststream.specification import AsyncAPI

from image_moderation import __version__
from image_moderation.contracts.schemas import components
from image_moderation.events.binary import STRUCTURED
from image_moderation.events.models import (
    BLOCKED_CHANNEL,
    CHANNELS,
    DEAD_LETTER_CHANNEL,
    EVENT_TYPES,
    REPORTED_CHANNEL,
    REVIEW_CHANNEL,
    REVIEWED_CHANNEL,
    UNBLOCKED_CHANNEL,
    EventType,
    Reported,
    Retracted,
    Reviewed,
    types_on,
)
from image_moderation.urls import BROKERS

_DESCRIPTION = (
    "Blocks an image automatically once several people have reported it. Every event is a CloudEvent 1.0 "
    "as JSON in structured mode, UTF-8. Unknown fields are ignored on input; output only ever gains fields "
    "within a version, and its enumerations are open."
)
_SERVERS = {
    broker.name: {"host": broker.host, "protocol": broker.protocol, "description": broker.description}
    for broker in BROKERS
}
"""One of these has the channels: the one that MODERATION_BROKER_URL names."""
_DESCRIPTIONS = {
    REPORTED_CHANNEL: "Reports of images, and their retractions. In any order, any number of times.",
    REVIEWED_CHANNEL: "Moderators' verdicts on images. In any order, any number of times.",
    BLOCKED_CHANNEL: "Images to block. Apply one if its `decided_at` is newer than the last applied of "
    "`image.blocked` and `image.unblocked` for that image.",
    UNBLOCKED_CHANNEL: "Images to show again. Apply one by the same rule as a block.",
    REVIEW_CHANNEL: "Images that a moderator should look at. They change nothing for whoever shows images.",
    DEAD_LETTER_CHANNEL: "Messages that could not be understood, each kept whole with the reason why.",
}


def document() -> bytes:
    """Return the document as JSON, the same bytes for the same code."""
    generated: dict[str, Any] = json.loads(
        AsyncAPI(
            _declared(),
            title="image-moderation",
            version=__version__,
            description=_DESCRIPTION,
            license={"name": "Apache-2.0"},
            schema_version="3.0.0",
        )
        .to_specification()
        .to_json()
    )
    return json.dumps(_corrected(generated), indent=2, ensure_ascii=False).encode() + b"\n"


def _declared() -> RedisBroker:
    """Return a broker for the generator to read; it is never connected."""
    broker = RedisBroker()

    @broker.subscriber(
        stream=StreamSub(REPORTED_CHANNEL),
        title=REPORTED_CHANNEL,
        description=_DESCRIPTIONS[REPORTED_CHANNEL],
    )
    async def receive(event: Reported | Retracted) -> None:
        raise NotImplementedError

    @broker.subscriber(
        stream=StreamSub(REVIEWED_CHANNEL),
        title=REVIEWED_CHANNEL,
        description=_DESCRIPTIONS[REVIEWED_CHANNEL],
    )
    async def judge(event: Reviewed) -> None:
        raise NotImplementedError

    for row in EVENT_TYPES:
        if row.channel not in (REPORTED_CHANNEL, REVIEWED_CHANNEL):
            broker.publisher(
                stream=row.channel,
                title=row.channel,
                description=_DESCRIPTIONS[row.channel],
                schema=row.model,
            )
    return broker


def _corrected(generated: dict[str, Any]) -> dict[str, Any]:
    references, schemas = components("#/components/schemas/{model}")
    # The generator's own order changes from run to run.
    channels = {name: generated["channels"][name] for name in CHANNELS}
    for name, channel in channels.items():
        channel["servers"] = [{"$ref": f"#/servers/{server}"} for server in _SERVERS]
        channel["messages"] = {
            row.name: {"$ref": f"#/components/messages/{row.name}"} for row in types_on(name)
        }
        del channel["bindings"]
    operations = {name: generated["operations"][name] for name in CHANNELS}
    for name, operation in operations.items():
        operation["messages"] = [{"$ref": f"#/channels/{name}/messages/{row.name}"} for row in types_on(name)]
    return {
        "asyncapi": generated["asyncapi"],
        "info": generated["info"],
        "defaultContentType": STRUCTURED,
        "servers": _SERVERS,
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": {
                row.name: {
                    "name": row.name,
                    "title": row.name,
                    "summary": _summary(row),
                    "contentType": STRUCTURED,
                    "payload": references[row.name],
                }
                for row in EVENT_TYPES
            },
            "schemas": dict(sorted(schemas.items())),
        },
    }


def _summary(event_type: EventType) -> str:
    """Return the sentence that describes an event."""
    return (event_type.model.__doc__ or "").strip()
