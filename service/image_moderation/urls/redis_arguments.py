"""What redis-py's clients take, from a URL of Redis, but for its certificates. Knows its names, and doesn't
import it.
"""

from typing import Any

from image_moderation.urls.parse import Url


def to_servers(url: Url) -> dict[str, Any]:
    """Return what every connection to a server takes, but for its host and port or socket."""
    protocol = url.options.get("protocol")
    given = {
        "username": url.username,
        "password": url.password,
        "db": url.database or None,
        "protocol": protocol,
    }
    return _known(given)


def to_one_server(url: Url) -> dict[str, Any]:
    """Return the same with the host and port, or with the socket, of the one server of `url`."""
    if not url.hosts:
        return to_servers(url) | {"path": url.name}
    ((host, port),) = url.hosts
    return to_servers(url) | {"host": host, "port": port}


def to_sentinels(url: Url) -> dict[str, Any]:
    """Return what every connection to a Sentinel takes, but for its host and port.

    Sentinels have users and passwords of their own, or none.
    """
    options = url.options
    given = {"username": options.get("sentinel_username"), "password": options.get("sentinel_password")}
    return _known(given)


def _known(given: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}
