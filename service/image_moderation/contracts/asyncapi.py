"""The AsyncAPI document: the channels, and the events that the service receives and sends on each.

FastStream's generator writes it from a broker that is never connected and declares the channels of the
service. Its channels and operations are right. Its messages are not: it merges the two events of
`image.reported` into one, takes a dead letter's data for the whole event, adds a correlation id, and
describes a server and bindings that the specification doesn't know. This module corrects them, and adds
what a reader needs: titles, summaries, examples, and where each channel is on each broker.
"""

import json
from collections.abc import Sequence
from typing import Any

from faststream.redis import RedisBroker, StreamSub
from faststream.specification import AsyncAPI

from image_moderation import __version__
from image_moderation.contracts.bindings import bindings
from image_moderation.contracts.examples import EXAMPLES
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
from image_moderation.urls import BROKERS, scheme_of

VERSION = "3.1.0"
"""Of AsyncAPI. FastStream writes 3.0.0, which differs in nothing that this document has."""
_DESCRIPTION = (
    "Blocks an image automatically once several people have reported it. Every event is a CloudEvent 1.0 "
    "as JSON in structured mode, UTF-8. Unknown fields are ignored on input; output only ever gains fields "
    "within a version, and its enumerations are open."
)
_SERVERS = {
    broker.name: {
        "host": broker.host,
        "protocol": broker.protocol,
        "title": broker.title,
        "description": broker.description,
    }
    for broker in BROKERS
}
"""One of these has the channels: the one that MODERATION_BROKER_URL names."""
RECEIVED = (REPORTED_CHANNEL, REVIEWED_CHANNEL)
"""The channels on which the service receives; it sends on the others."""
_SUMMARIES = {
    REPORTED_CHANNEL: "People's reports of images",
    REVIEWED_CHANNEL: "Moderators' verdicts",
    BLOCKED_CHANNEL: "Images to block",
    UNBLOCKED_CHANNEL: "Images to show again",
    REVIEW_CHANNEL: "Images for a moderator",
    DEAD_LETTER_CHANNEL: "Messages that could not be understood",
}
_DESCRIPTIONS = {
    REPORTED_CHANNEL: "Reports of images, and their retractions. In any order, any number of times.",
    REVIEWED_CHANNEL: "Moderators' verdicts on images. In any order, any number of times.",
    BLOCKED_CHANNEL: "Images to block. Apply one if its `decided_at` is newer than the last applied of "
    "`image.blocked` and `image.unblocked` for that image.",
    UNBLOCKED_CHANNEL: "Images to show again. Apply one by the same rule as a block.",
    REVIEW_CHANNEL: "Images that a moderator should look at. They change nothing for whoever shows images.",
    DEAD_LETTER_CHANNEL: "Messages that could not be understood, each kept whole with the reason why.",
}


def document(broker_url: str | None = None) -> bytes:
    """Return the document as JSON, the same bytes for the same code.

    With the URL of a broker it has that broker's server and bindings alone, and nothing else of the URL.
    """
    broker = scheme_of(broker_url).broker if broker_url else None
    brokers = [broker.name] if broker else list(_SERVERS)
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
    return json.dumps(_corrected(generated, brokers), indent=2, ensure_ascii=False).encode() + b"\n"


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
        if row.channel not in RECEIVED:
            broker.publisher(
                stream=row.channel,
                title=row.channel,
                description=_DESCRIPTIONS[row.channel],
                schema=row.model,
            )
    return broker


def _corrected(generated: dict[str, Any], brokers: Sequence[str]) -> dict[str, Any]:
    references, schemas = components("#/components/schemas/{model}")
    # The generator's own order changes from run to run.
    channels = {name: generated["channels"][name] for name in CHANNELS}
    operations = {name: generated["operations"][name] for name in CHANNELS}
    messages = {row.name: _message(row, references[row.name]) for row in EVENT_TYPES}
    for name in CHANNELS:
        channel, operation = channels[name], operations[name]
        named = {"title": name, "summary": _SUMMARIES[name]}
        channel |= named
        channel["servers"] = [{"$ref": f"#/servers/{server}"} for server in brokers]
        channel["messages"] = {
            row.name: {"$ref": f"#/components/messages/{row.name}"} for row in types_on(name)
        }
        operation |= named
        operation["messages"] = [{"$ref": f"#/channels/{name}/messages/{row.name}"} for row in types_on(name)]
        channel["bindings"], operation["bindings"] = {}, {}
        for broker in brokers:
            found = bindings(broker, name, received=name in RECEIVED)
            channel["bindings"] |= found.channel
            channel |= found.extensions
            operation["bindings"] |= found.operation
            for row in types_on(name):
                messages[row.name]["bindings"] |= found.message
    return {
        "asyncapi": VERSION,
        "info": generated["info"],
        "defaultContentType": STRUCTURED,
        "servers": {name: _SERVERS[name] for name in brokers},
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": dict(sorted(schemas.items()))},
    }


def _message(row: EventType, payload: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": row.name,
        "title": row.name,
        "summary": _summary(row),
        "contentType": STRUCTURED,
        "payload": payload,
        "bindings": {},
        "examples": [{"name": "example", "summary": _summary(row), "payload": EXAMPLES[row.name]}],
    }


def _summary(event_type: EventType) -> str:
    """Return the sentence that describes an event."""
    return (event_type.model.__doc__ or "").strip()
