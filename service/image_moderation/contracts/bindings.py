"""Where a channel is on each broker: AsyncAPI's bindings, or an extension where those have no field for it.

The names are the contract's own: the same ones that `brokers/` declares.
"""

from dataclasses import dataclass, field
from typing import Any

GROUP = "image-moderation"
"""The service's consumer group, unless MODERATION_CONSUMER_GROUP names another."""


@dataclass(frozen=True, slots=True)
class Bindings:
    """The additions of one broker to a channel, its operation and its messages."""

    channel: dict[str, Any] = field(default_factory=dict)
    operation: dict[str, Any] = field(default_factory=dict)
    message: dict[str, Any] = field(default_factory=dict)
    extensions: dict[str, Any] = field(default_factory=dict)
    """Of the channel; AsyncAPI's own bindings of Redis and NATS have no fields for these."""


def bindings(broker: str, channel: str, *, received: bool) -> Bindings:
    """Return those of a broker by its name; `received` as the service sees the channel.

    Raises:
        KeyError: there is no such broker.
    """
    return {"redis": _redis, "kafka": _kafka, "rabbitmq": _rabbitmq, "nats": _nats}[broker](channel, received)


def _redis(channel: str, received: bool) -> Bindings:
    group = {"consumerGroup": GROUP} if received else {}
    return Bindings(extensions={"x-redis-stream": {"key": channel, "field": "__data__", **group}})


def _kafka(channel: str, received: bool) -> Bindings:
    version = {"bindingVersion": "0.5.0"}
    group = {"type": "string", "title": "Consumer group", "default": GROUP}
    key = {"type": "string", "title": "Key", "description": "The image id, so that its events stay in order."}
    return Bindings(
        channel={"kafka": {"topic": channel, **version}},
        operation={"kafka": {"groupId": group, **version}} if received else {},
        message={"kafka": {"key": key, **version}},
    )


def _rabbitmq(channel: str, received: bool) -> Bindings:
    version = {"bindingVersion": "0.3.0"}
    exchange = {"name": "image-moderation", "type": "topic", "durable": True, "autoDelete": False}
    queue = {"name": f"{GROUP}.{channel}", "durable": True, "type": "quorum"}
    return Bindings(
        # The routing key is the channel's address.
        channel={"amqp": {"is": "routingKey", "exchange": exchange, **version}},
        operation={
            "amqp": {"ack": True} | version if received else {"deliveryMode": 2, "mandatory": True} | version
        },
        extensions={"x-rabbitmq-queue": queue} if received else {},
    )


def _nats(channel: str, received: bool) -> Bindings:
    durable = {"durable": GROUP if channel == "image.reported" else f"{GROUP}-reviewed"} if received else {}
    return Bindings(
        extensions={"x-nats-jetstream": {"stream": "IMAGE_MODERATION", "subject": channel, **durable}}
    )
