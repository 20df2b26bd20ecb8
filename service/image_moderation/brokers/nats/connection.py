"""How a NATS server is reached."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

import nats
from nats.aio.client import Client

from image_moderation.brokers.nats.errors import errors, within


def connection_options(url: str, seen: list[Exception]) -> dict[str, Any]:
    """What nats-py's `connect` and FastStream's broker both take for a MODERATION_BROKER_URL.

    `seen` is given the last that went wrong on the way there, which the client tells nobody else. It isn't
    logged: the health checks say what is wrong, once.
    """

    async def see(error: Exception) -> None:
        seen[:] = [error]

    parts = urlsplit(url)
    scheme = "tls" if parts.scheme == "nats+tls" else "nats"
    hosts = parts.netloc.rpartition("@")[2].split(",")
    return {
        "servers": [f"{scheme}://{host}" for host in hosts],
        # For ever: after sixty attempts, the default, its loop would spin.
        "max_reconnect_attempts": -1,
        "reconnect_time_wait": 0.5,
        "connect_timeout": 2,
        # A server that hangs without closing the connection is noticed after two of these.
        "ping_interval": 10,
        "error_cb": see,
    }


def credentials(url: str) -> dict[str, str]:
    """`user` and `password`, or `token`, or nothing; for nats-py's `connect`."""
    parts = urlsplit(url)
    if not parts.username:
        return {}
    if parts.password is None:
        return {"token": unquote(parts.username)}
    return {"user": unquote(parts.username), "password": unquote(parts.password)}


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Client]:
    """A client of its own, for the command line."""
    seen: list[Exception] = []
    # A command doesn't wait for a server that is away, as the service does.
    options = connection_options(url, seen) | {"max_reconnect_attempts": 1}
    async with errors(seen):
        client = await within(nats.connect(**options, **credentials(url)))
    try:
        yield client
    finally:
        await client.close()
