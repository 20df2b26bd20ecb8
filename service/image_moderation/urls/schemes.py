"""Every broker, and every scheme that a server's URL may have, one row each.

A row says all that a URL of its scheme may hold; `parse` reads by it and refuses the rest, so that no part of
a URL is ever ignored. docs/brokers.md has the same table for operators. Imports `options`, `tls` and the
standard library.
"""

import re
from dataclasses import dataclass
from enum import Enum

from image_moderation.urls import options as option
from image_moderation.urls.options import Option
from image_moderation.urls.tls import FILES


class Hosts(Enum):
    """How many hosts a URL may name; several stand with commas between them."""

    NONE = "none"
    ONE = "one"
    SEVERAL = "several"


class Login(Enum):
    """The user and password that a URL may name, if it names any."""

    ANY = "user, password or both"
    BOTH = "user and password"
    TOKEN = "user and password, or a token alone"  # noqa: S105 - a sentence, not a secret


@dataclass(frozen=True, slots=True)
class PathRule:
    """The path that a URL of some scheme may have. A named group is the field of `urls.Url` that it gives."""

    pattern: re.Pattern[str]
    takes: str


_DATABASE = PathRule(re.compile(r"/?|/(?P<database>[0-9]{1,5})"), "empty, or a database's number")
_SOCKET = PathRule(re.compile(r"(?P<name>/.*[^/])"), "that of a socket, as in unix:///run/redis.sock")
_NO_DATABASE = PathRule(re.compile(r"/?|/0"), "empty, because a Cluster has no databases")
_PRIMARY = PathRule(
    re.compile(r"/(?P<name>[A-Za-z0-9._-]+)(?:/(?P<database>[0-9]{1,5}))?"),
    "the name of the primary, and a database's number if it is not 0: /name or /name/2",
)
_VIRTUAL_HOST = PathRule(
    re.compile(r"/?|/(?P<name>[^/]+)"), "empty, or a virtual host, with any further '/' as %2F"
)
_EMPTY = PathRule(re.compile(r"/?"), "empty")


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
    title: str
    """Its name for people."""
    description: str
    """How channels and events appear there, for the developers of other services."""


_REDIS = Broker(
    "redis",
    "redis",
    "localhost:6379",
    "redis",
    "Redis Streams",
    "Redis or Valkey. A channel is a stream of the same name, an event one entry of it with the JSON "
    "in the field `__data__`; on input `data` is taken, too.",
)
_KAFKA = Broker(
    "kafka",
    "confluent_kafka",
    "localhost:9092",
    "kafka",
    "Kafka",
    "A channel is a topic of the same name, an event the value of a record; the key of a decision is "
    "the image id.",
)
_RABBITMQ = Broker(
    "rabbitmq",
    "aio_pika",
    "localhost:5672",
    "amqp",
    "RabbitMQ",
    "A channel is a routing key of the durable topic exchange `image-moderation`, an event the body "
    "of a message; the service reads its own durable quorum queues, `<group>.<channel>`.",
)
_NATS = Broker(
    "nats",
    "nats",
    "localhost:4222",
    "nats",
    "NATS JetStream",
    "JetStream. A channel is a subject of the stream `IMAGE_MODERATION`, an event the payload of a "
    "message; the `Nats-Msg-Id` of a decision is its event id.",
)
BROKERS = (_REDIS, _KAFKA, _RABBITMQ, _NATS)


@dataclass(frozen=True, slots=True)
class Scheme:
    """The servers that URLs of one scheme name, and the parts that such a URL may have."""

    name: str
    port: int
    """Of a host that is named without one; 0 for a socket."""
    path: PathRule
    login: Login
    broker: Broker | None = None
    """The broker that serves it; None for a scheme of stores alone."""
    store: bool = False
    """Whether it can be the store."""
    hosts: Hosts = Hosts.ONE
    tls: bool = False
    """Whether every connection is over TLS, or else there is none."""
    options: tuple[Option, ...] = ()

    @property
    def over_tls(self) -> "Scheme | None":
        """The scheme of the same servers over TLS, if there is one."""
        alike = (row for row in _ROWS if (row.path, row.broker) == (self.path, self.broker))
        return next((row for row in alike if row.tls), None)

    @property
    def files(self) -> dict[str, Option]:
        """The option that is each file of `urls.Tls`, by the field; empty without TLS."""
        return {one.tls: one for one in self.options if one.tls in FILES}


_ANY, _BOTH, _TOKEN = Login
_SEVERAL = Hosts.SEVERAL
_ONE_REDIS = (option.DATABASE, *option.REDIS)
_SOCKET_OPTIONS = (option.DATABASE, option.USERNAME, option.PASSWORD, *option.REDIS)
_SENTINEL = (*option.REDIS, *option.SENTINEL)
_ROWS = (
    Scheme("redis", 6379, _DATABASE, _ANY, _REDIS, store=True, options=_ONE_REDIS),
    Scheme(
        "rediss", 6379, _DATABASE, _ANY, _REDIS, store=True, tls=True, options=_ONE_REDIS + option.REDIS_TLS
    ),
    Scheme("unix", 0, _SOCKET, _ANY, _REDIS, store=True, hosts=Hosts.NONE, options=_SOCKET_OPTIONS),
    Scheme("redis+cluster", 6379, _NO_DATABASE, _ANY, None, True, _SEVERAL, False, option.REDIS),
    Scheme(
        "rediss+cluster",
        6379,
        _NO_DATABASE,
        _ANY,
        None,
        True,
        _SEVERAL,
        True,
        option.REDIS + option.REDIS_TLS,
    ),
    Scheme("redis+sentinel", 26379, _PRIMARY, _ANY, _REDIS, True, _SEVERAL, False, _SENTINEL),
    Scheme(
        "rediss+sentinel", 26379, _PRIMARY, _ANY, _REDIS, True, _SEVERAL, True, _SENTINEL + option.REDIS_TLS
    ),
    Scheme("kafka", 9092, _EMPTY, _BOTH, _KAFKA, False, _SEVERAL, False, option.KAFKA),
    Scheme("kafka+tls", 9092, _EMPTY, _BOTH, _KAFKA, False, _SEVERAL, True, option.KAFKA + option.TLS),
    Scheme("amqp", 5672, _VIRTUAL_HOST, _BOTH, _RABBITMQ, hosts=_SEVERAL, options=option.AMQP),
    Scheme(
        "amqps",
        5671,
        _VIRTUAL_HOST,
        _BOTH,
        _RABBITMQ,
        hosts=_SEVERAL,
        tls=True,
        options=option.AMQP + option.TLS,
    ),
    Scheme("nats", 4222, _EMPTY, _TOKEN, _NATS, hosts=_SEVERAL, options=option.NATS),
    Scheme(
        "nats+tls", 4222, _EMPTY, _TOKEN, _NATS, hosts=_SEVERAL, tls=True, options=option.NATS + option.TLS
    ),
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
