"""Every scheme that a server's URL may have, one row each. Settings and brokers read this table.

It stands below both, because rooms side by side never import each other. Imports the standard library alone.
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
class Scheme:
    """The servers that URLs of one scheme name, and the parts that such a URL may have."""

    name: str
    path: PathRule
    broker: str | None = None
    """The folder in `brokers/` that serves it, also the extra that installs its client; None for stores."""
    client: str = ""
    """The top-level module of that broker's client library."""
    store: bool = False
    """Whether it can be the store."""
    hosts: Hosts = Hosts.ONE


_ROWS = (
    Scheme("redis", _DATABASE, "redis", "redis", store=True),
    Scheme("rediss", _DATABASE, "redis", "redis", store=True),
    Scheme("unix", _SOCKET, "redis", "redis", store=True, hosts=Hosts.NONE),
    Scheme("redis+cluster", _NO_DATABASE, store=True, hosts=Hosts.SEVERAL),
    Scheme("redis+sentinel", _PRIMARY, store=True, hosts=Hosts.SEVERAL),
    Scheme("kafka", _EMPTY, "kafka", "confluent_kafka", hosts=Hosts.SEVERAL),
    Scheme("kafka+tls", _EMPTY, "kafka", "confluent_kafka", hosts=Hosts.SEVERAL),
    Scheme("amqp", _VIRTUAL_HOST, "rabbitmq", "aio_pika"),
    Scheme("amqps", _VIRTUAL_HOST, "rabbitmq", "aio_pika"),
    Scheme("nats", _EMPTY, "nats", "nats", hosts=Hosts.SEVERAL),
    Scheme("nats+tls", _EMPTY, "nats", "nats", hosts=Hosts.SEVERAL),
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
