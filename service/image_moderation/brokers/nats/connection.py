"""How a NATS server is reached, and nats-py's errors as the one error of the broker."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import unquote, urlsplit

from faststream.nats import NatsBroker
from faststream.nats.security import NatsSecurity, NatsToken, NatsUserPassword
from nats.aio.client import Client
from nats.errors import Error, NoServersError

from image_moderation.brokers.calls import Errors, describe, unavailable_on, within
from image_moderation.domain.errors import BrokerUnavailable

FOREVER = -1
PURGE_IS_SAFE = (2, 9, 15)
"""Older servers forget at a purge what is in hand, and never redeliver it (nats-server#3892)."""

errors: Errors = partial(unavailable_on, Error, OSError)
"""Raises what the server, or the way to it, answers instead of a result as BrokerUnavailable."""


class Connection:
    """One connection, which FastStream's broker makes."""

    def __init__(self, url: str, *, middlewares: Sequence[Any] = (), reconnects: int = FOREVER) -> None:
        """`url` is a MODERATION_BROKER_URL. Nothing is connected before `connect`."""
        parts = urlsplit(url)
        scheme = "tls" if parts.scheme == "nats+tls" else "nats"
        hosts = parts.netloc.rpartition("@")[2].split(",")
        self._client: Client | None = None
        self._last_error: Exception | None = None
        self.broker = NatsBroker(
            [f"{scheme}://{host}" for host in hosts],
            security=_security(url),
            # With a limit, the default, nats-py spins once it has reached it.
            max_reconnect_attempts=reconnects,
            reconnect_time_wait=0.5,  # type: ignore[arg-type]  # seconds; nats-py takes fractions
            connect_timeout=2,
            # The client notices a server that hangs with an open connection after two of these.
            ping_interval=10,
            error_cb=self._keep_error,
            apply_types=False,
            logger=None,
            middlewares=middlewares,
        )

    async def _keep_error(self, error: Exception) -> None:
        """Keep the reason of a failed attempt, which nats-py gives to this callback alone."""
        self._last_error = error

    async def connect(self) -> Client:
        """Return the connected client; the same at each call.

        Raises:
            BrokerUnavailable: no server took the connection in time.
        """
        try:
            self._client = await within(self.broker.connect())
        except (Error, OSError) as error:
            vague = isinstance(error, TimeoutError | NoServersError)
            raise BrokerUnavailable(describe((vague and self._last_error) or error)) from error
        return self._client

    async def close(self) -> None:
        """Close the client, if there is one. Errors are nats-py's."""
        if self._client is not None:
            await self._client.close()


def _security(url: str) -> NatsSecurity | None:
    """Return the credentials in a URL: a user and a password, or a token alone."""
    parts = urlsplit(url)
    if not parts.username:
        return None
    if parts.password is None:
        return NatsToken(unquote(parts.username))
    return NatsUserPassword(unquote(parts.username), unquote(parts.password))


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Client]:
    """Connect for one command, which doesn't wait for a server that is away."""
    connection = Connection(url, reconnects=1)
    try:
        yield await connection.connect()
    finally:
        await connection.close()


def require_connection(client: Client) -> None:
    """Refuse a call while the client reconnects: it would buffer what it is given and send it late.

    Raises:
        BrokerUnavailable: not connected.
    """
    if not client.is_connected:
        raise BrokerUnavailable("not connected")


def server_version(client: Client) -> tuple[int, int, int]:
    """Return the version of the connected server."""
    version = client.connected_server_version
    return version.major, version.minor, version.patch


def telemetry() -> Any:
    """Return FastStream's middleware for spans."""
    from faststream.nats.opentelemetry import NatsTelemetryMiddleware  # noqa: PLC0415 - needs an extra

    return NatsTelemetryMiddleware
