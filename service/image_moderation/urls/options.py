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
    takes: str
    read: Callable[[str], object]
    """Turns its text, percent-decoded, into its value, or raises ValueError."""
    tls: str | None = None
    """The field of `urls.Tls` that it is, if it is one."""
    needs: str | None = None
    """The option without which it would not be used, or `user`."""


def _whole(name: str, low: int, high: int, takes: str) -> Option:
    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise ValueError
        return int(text)

    return Option(name, f"{takes}: {low} to {high}", read)


def _one_of(
    name: str, values: Mapping[str, object], *, tls: str | None = None, needs: str | None = None
) -> Option:
    def read(text: str) -> object:
        if text not in values:
            raise ValueError
        return values[text]

    *first, last = values
    return Option(name, f"{', '.join(first)} or {last}", read, tls, needs)


def _text(name: str, takes: str, *, tls: str | None = None, needs: str | None = None) -> Option:
    def read(text: str) -> str:
        if not text:
            raise ValueError
        return text

    return Option(name, takes, read, tls, needs)


LEAST_CONNECTIONS = 32
"""So many one process may need to one server at once: each lane reads, applies and publishes by itself."""

_AUTHORITIES = "file with the authorities to trust instead of the system's"
_CERTIFICATE = "file with the service's own certificate"
_KEY = "file with that certificate's key, without a passphrase; if unset, the certificate's file"

DATABASE = _whole("db", 0, 99_999, "database, if the path names none")
USERNAME = _text("username", "user, if none stands before the '@'")
PASSWORD = _text("password", "password, if none stands before the '@'")
REDIS = (
    _whole("max_connections", LEAST_CONNECTIONS, 10_000, "most connections of one pool to one server"),
    _one_of("protocol", {"2": 2, "3": 3}),
)
SENTINEL = (
    _text("sentinel_username", "user at the Sentinels themselves", needs="sentinel_password"),
    _text("sentinel_password", "password at the Sentinels themselves"),
)
REDIS_TLS = (
    _text("ssl_ca_certs", _AUTHORITIES, tls="authorities"),
    _text("ssl_certfile", _CERTIFICATE, tls="certificate"),
    _text("ssl_keyfile", _KEY, tls="key", needs="ssl_certfile"),
    _one_of("ssl_check_hostname", {"true": True, "false": False}, tls="check_hostname"),
    _one_of("ssl_cert_reqs", {"required": True, "none": False}, tls="verify"),
)
TLS = (
    _text("cafile", _AUTHORITIES, tls="authorities"),
    _text("certfile", _CERTIFICATE, tls="certificate"),
    _text("keyfile", _KEY, tls="key", needs="certfile"),
)
KAFKA = (_one_of("sasl", {name: name for name in ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")}, needs="user"),)
AMQP = (
    _whole("heartbeat", 1, 3_600, "seconds between heartbeats"),
    _text("name", "name of the connection, which the server's operator sees"),
)
