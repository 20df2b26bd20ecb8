"""Every broker, and every scheme that a server's URL may have, one row each.

The settings, the brokers and the AsyncAPI document read these tables, so they stand below all three. Imports
the standard library alone.
"""

import re
from dataclasses import dataclass
from enum import Enum, auto


class Hosts(Enum):
    """How many hosts a URL may name; several stand with commas between them."""

    NONE = auto()
    ONE = auto()
    SEVERAL = auto()


@dataclass(frozen=True, slots=True)
class PathRule:
    """The path that a URL of some scheme may have."""

    pattern: re.Pattern[str]
    error: str
    """The line for an operator whose URL has another path."""


_DATABASE = PathRule(re.compile(r"/?|/[0-9]{1,5}"), "its path must be empty or a database's number")
_SOCKET = PathRule(re.compile(r"/.*[^/]"), "its path must be that of a socket: unix:///run/redis.sock")
_NO_DATABASE = PathRule(re.compile(r"/?|/0"), "a cluster has no databases, so its path must be empty")
_PRIMARY = PathRule(
    re.compile(r"/[A-Za-z0-9._-]+(?:/[0-9]{1,5})?"),
    "its path must be the name of the primary: redis+sentinel://h1,h2/name",
)
_VIRTUAL_HOST = PathRule(
    re.compile(r"(?:/[^/]*)?"), "its path must be empty or a virtual host, with '/' in it as %2F"
)
_EMPTY = PathRule(re.compile(r"/?"), "its path must be empty")


@dataclass(frozen=True, slots=True)
class Broker:
    """One kind of broker: its code, its client library, and its server in the AsyncAPI document."""

    name: str
    """Its folder in `brokers/`, and the extra that installs its client."""
    client: str
    """The top-level module of its client library."""
    host: str
    """The usual address of its server, as an example."""
    protocol: str
    """Its name in AsyncAPI."""
    description: str
    """How channels and events appear there, for the developers of other services."""


_REDIS = Broker(
    "redis",
    "redis",
    "localhost:6379",
    "redis",
    "Redis or Valkey. A channel is a stream of the same name, an event one entry of it with the JSON "
    "in the field `__data__`; on input `data` is taken, too.",
)
_KAFKA = Broker(
    "kafka",
    "confluent_kafka",
    "localhost:9092",
    "kafka",
    "A channel is a topic of the same name, an event the value of a record; the key of a decision is "
    "the image id.",
)
_RABBITMQ = Broker(
    "rabbitmq",
    "aio_pika",
    "localhost:5672",
    "amqp",
    "A channel is a routing key of the durable topic exchange `image-moderation`, an event the body "
    "of a message; the service reads its own durable quorum queues, `<group>.<channel>`.",
)
_NATS = Broker(
    "nats",
    "nats",
    "localhost:4222",
    "nats",
    "JetStream. A channel is a subject of the stream `IMAGE_MODERATION`, an event the payload of a "
    "message; the `Nats-Msg-Id` of a decision is its event id.",
)
BROKERS = (_REDIS, _KAFKA, _RABBITMQ, _NATS)


@dataclass(frozen=True, slots=True)
class Scheme:
    """The servers that URLs of one scheme name, and the parts that such a URL may have."""

    name: str
    path: PathRule
    broker: Broker | None = None
    """The broker that serves it; None for a scheme of stores alone."""
    store: bool = False
    """Whether it can be the store."""
    hosts: Hosts = Hosts.ONE


_ROWS = (
    Scheme("redis", _DATABASE, _REDIS, store=True),
    Scheme("rediss", _DATABASE, _REDIS, store=True),
    Scheme("unix", _SOCKET, _REDIS, store=True, hosts=Hosts.NONE),
    Scheme("redis+cluster", _NO_DATABASE, store=True, hosts=Hosts.SEVERAL),
    Scheme("redis+sentinel", _PRIMARY, store=True, hosts=Hosts.SEVERAL),
    Scheme("kafka", _EMPTY, _KAFKA, hosts=Hosts.SEVERAL),
    Scheme("kafka+tls", _EMPTY, _KAFKA, hosts=Hosts.SEVERAL),
    Scheme("amqp", _VIRTUAL_HOST, _RABBITMQ),
    Scheme("amqps", _VIRTUAL_HOST, _RABBITMQ),
    Scheme("nats", _EMPTY, _NATS, hosts=Hosts.SEVERAL),
    Scheme("nats+tls", _EMPTY, _NATS, hosts=Hosts.SEVERAL),
)

SCHEMES = {row.name: row for row in _ROWS}
"""Every scheme by its name."""
BROKER_SCHEMES = tuple(row.name for row in _ROWS if row.broker)
STORE_SCHEMES = tuple(row.name for row in _ROWS if row.store)


def scheme_of(url: str) -> Scheme:
    """Return the row of `url`.

    Raises:
        KeyError: its scheme is not in the table.
    """
    return SCHEMES[url.partition(":")[0]]
