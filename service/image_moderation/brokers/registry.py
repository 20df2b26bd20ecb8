"""Which transport serves a URL. Only the chosen one's client library is imported."""

from importlib import import_module
from typing import cast

from image_moderation.brokers.port import Broker
from image_moderation.domain.errors import Misconfigured

FOLDERS = {
    "redis": "redis",
    "rediss": "redis",
    "unix": "redis",
    "kafka": "kafka",
    "kafka+tls": "kafka",
    "amqp": "rabbitmq",
    "amqps": "rabbitmq",
    "nats": "nats",
    "nats+tls": "nats",
}
"""The folder beside this file for each scheme."""


def broker_for(url: str) -> Broker:
    """Return the transport for `url`, whose scheme is one of FOLDERS.

    Raises:
        Misconfigured: its client library is not installed.
    """
    folder = FOLDERS[url.partition(":")[0]]
    try:
        return cast("Broker", import_module(f"{__package__}.{folder}"))
    except ImportError as error:
        raise Misconfigured(
            f"the broker needs a client library that is not installed ({error.name}): "
            f"pip install 'image-moderation[{folder}]'"
        ) from None
