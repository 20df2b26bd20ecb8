"""The options that URLs of servers may have after their `?`. Imports the standard library alone.

They have the names that the usual clients of each server give them. What isn't here is refused, timeouts and
retries for example: those are the service's own.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a URL's query."""

    name: str
    meaning: str
    takes: str
    read: Callable[[str], object]
    """Turns its text, percent-decoded, into its value, or raises ValueError."""
    tls: str | None = None
    """The field of `urls.Tls` that it is, if it is one."""
    needs: str | None = None
    """The option without which it would not be used, or `user`."""


def _whole(name: str, meaning: str, low: int, high: int) -> Option:
    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise ValueError
        return int(text)

    return Option(name, meaning, f"{low} to {high}", read)


def _one_of(
    name: str, meaning: str, values: Mapping[str, object], *, tls: str | None = None, needs: str | None = None
) -> Option:
    def read(text: str) -> object:
        if text not in values:
            raise ValueError
        return values[text]

    *first, last = values
    return Option(name, meaning, f"{', '.join(first)} or {last}", read, tls, needs)


def _filled(text: str) -> str:
    if not text:
        raise ValueError
    return text


def _text(name: str, meaning: str, *, needs: str | None = None) -> Option:
    return Option(name, meaning, "any text", _filled, None, needs)


def _file(name: str, meaning: str, tls: str, *, needs: str | None = None) -> Option:
    return Option(name, meaning, "a PEM file's path", _filled, tls, needs)


LEAST_CONNECTIONS = 32
"""So many one process may need to one server at once: each lane reads, applies and publishes by itself."""

_CERTIFICATE = "the service's own certificate"
_KEY = "that certificate's key, without a passphrase; by default in the certificate's file"

DATABASE = _whole("db", "the database, if the path names none", 0, 99_999)
USERNAME = _text("username", "the user, if none stands before the `@`")
PASSWORD = _text("password", "the password, if none stands before the `@`")
REDIS = (
    _whole("max_connections", "most connections of one pool to one server", LEAST_CONNECTIONS, 10_000),
    _one_of("protocol", "the version of Redis' protocol", {"2": 2, "3": 3}),
)
SENTINEL = (
    _text("sentinel_username", "the user at the Sentinels themselves", needs="sentinel_password"),
    _text("sentinel_password", "the password at the Sentinels themselves"),
)
_SWITCH = {"true": True, "false": False}
REDIS_TLS = (
    _file("ssl_ca_certs", "authorities to trust instead of the system's", "authorities"),
    _file("ssl_certfile", _CERTIFICATE, "certificate"),
    _file("ssl_keyfile", _KEY, "key", needs="ssl_certfile"),
    _one_of(
        "ssl_check_hostname", "whether the certificate must be the host's", _SWITCH, tls="check_hostname"
    ),
    _one_of(
        "ssl_cert_reqs",
        "whether the certificate must be trusted",
        {"required": True, "none": False},
        tls="verify",
    ),
)
TLS = (
    _file("cafile", "authorities to trust instead of the system's", "authorities"),
    _file("certfile", _CERTIFICATE, "certificate"),
    _file("keyfile", _KEY, "key", needs="certfile"),
)
_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
KAFKA = (_one_of("sasl", "the mechanism of the login", {name: name for name in _MECHANISMS}, needs="user"),)
NATS = (_whole("replicas", "copies of the stream that the service makes, each on a server of its own", 1, 5),)
AMQP = (
    _whole("heartbeat", "seconds between heartbeats, by default 5", 1, 3_600),
    _text("name", "the connection's name in the server's lists"),
)
