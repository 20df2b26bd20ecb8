"""How a NATS server is reached, and nats-py's errors as the one error of the broker."""

import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from time import monotonic
from typing import Any

from faststream.nats import NatsBroker
from faststream.nats.security import NatsSecurity, NatsToken, NatsUserPassword
from nats.aio.client import Client
from nats.errors import Error, NoServersError, UnexpectedEOF

from image_moderation.brokers.calls import Errors, unavailable_on, within
from image_moderation.domain.errors import BrokerUnavailable
from image_moderation.domain.outage import Cause, explain
from image_moderation.urls import Url, parse

FOREVER = -1
REASON_AGE = 10.0
"""Seconds for which the last reason given explains an error that has none."""
PURGE_IS_SAFE = (2, 9, 15)
"""Older servers forget at a purge what is in hand, and never redeliver it (nats-server#3892)."""

_HUNG_UP = (ConnectionResetError, BrokenPipeError, UnexpectedEOF)
_AFTER_THE_HANDSHAKE = "the server hung up after the TLS handshake; it may be that it wants a certificate"
"""It says so before it hangs up, but that may be lost with the connection."""

errors: Errors = partial(unavailable_on, Error, OSError)
"""Raises what the server, or the way to it, answers instead of a result as BrokerUnavailable."""


class _TlsClient(Client):
    """Negotiates TLS, whatever the server's INFO asks for.

    nats-py does so only if INFO requires it, also for `tls://`. Else it sends the password in clear text: to
    a server without TLS, and to anybody on the way who changes that one line.
    """

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        """Called with each INFO; with the first of a connection before anything is sent.

        Raises:
            Error: the server offers no TLS.
        """
        if initial_connection:
            if not (info.get("tls_required") or info.get("tls_available")):
                raise self._hung_up("the server offers no TLS, so nothing was sent to it")
            info["tls_required"] = True
        await super()._process_info(info, initial_connection)

    def _connect_command(self) -> bytes:
        """Called for what holds the password. A second check, because the client's insides may change."""
        writer: Any = getattr(self._transport, "_io_writer", None)
        if writer is None or writer.get_extra_info("ssl_object") is None:
            raise self._hung_up("TLS was not negotiated, so no password was sent")
        return super()._connect_command()

    def _hung_up(self, why: str) -> Error:
        """Close the connection, which nats-py would leave open at each attempt."""
        transport: Any = self._transport
        if transport is not None:
            transport.close()
        return Error(why)


def _not_about_the_end(record: logging.LogRecord) -> bool:
    """Leave out a warning of asyncio's at the end of each connection over TLS: it means nothing."""
    return "eof_received" not in record.getMessage()


class _TlsBroker(NatsBroker):
    """FastStream's broker on that client."""

    async def _connect(self) -> Client:
        logging.getLogger("asyncio").addFilter(_not_about_the_end)
        client = _TlsClient()
        await client.connect(**self._connection_kwargs)
        self.config.connect(client)
        return client


class Connection:
    """One connection, which FastStream's broker makes."""

    def __init__(self, url: str, *, middlewares: Sequence[Any] = (), reconnects: int = FOREVER) -> None:
        """`url` is a MODERATION_BROKER_URL. Nothing is connected before `connect`."""
        parts = parse(url)
        self._tls = parts.tls is not None
        broker, scheme = (_TlsBroker, "tls") if self._tls else (NatsBroker, "nats")
        self._hosts = ", ".join(parts.addresses)
        self._client: Client | None = None
        self._last_error: Exception | None = None
        self._last_error_at = 0.0
        self.broker = broker(
            [f"{scheme}://{address}" for address in parts.addresses],
            security=_security(parts),
            # With a limit, the default, nats-py spins once it has reached it.
            max_reconnect_attempts=reconnects,
            reconnect_time_wait=0.5,  # type: ignore[arg-type]  # seconds; nats-py takes fractions
            connect_timeout=2,
            # After three of these the client leaves a server that hangs with an open connection.
            ping_interval=2,
            error_cb=self._keep_error,
            apply_types=False,
            logger=None,
            middlewares=middlewares,
        )

    async def _keep_error(self, error: Exception) -> None:
        """Keep the reason of a failed attempt or call, which nats-py gives to this callback alone."""
        self._last_error, self._last_error_at = error, monotonic()
        if self._client is not None and isinstance(error, Error):
            # FastStream's callback, which calls this one, raises some errors again by their text. While the
            # client reconnects that would end its only task, and it would never come back.
            error.args = (f"{error} (tried again)",)

    def _explain(self, error: BaseException) -> str:
        vague = isinstance(error, TimeoutError | NoServersError)
        recent = monotonic() - self._last_error_at < REASON_AGE
        return explain(self._last_error if vague and recent and self._last_error else error)

    @contextmanager
    def errors(self) -> Iterator[None]:
        """As the module's `errors`, and with the reason where nats-py's error has none."""
        with unavailable_on(Error, OSError, explain=self._explain):
            yield

    async def connect(self) -> Client:
        """Return the connected client; the same at each call.

        Raises:
            BrokerUnavailable: no server took the connection in time.
        """
        try:
            self._client = await within(self.broker.connect())
        except _HUNG_UP as error:
            why = f"{Cause.TLS}: {_AFTER_THE_HANDSHAKE}" if self._tls else self._explain(error)
            raise BrokerUnavailable(f"{why} (at {self._hosts})") from error
        except (Error, OSError) as error:
            raise BrokerUnavailable(f"{self._explain(error)} (at {self._hosts})") from error
        return self._client

    async def close(self) -> None:
        """Close the client, if there is one. Errors are nats-py's."""
        if self._client is not None:
            await self._client.close()


def _security(url: Url) -> NatsSecurity:
    """Return the credentials of a URL: a user and a password, or a token alone; and its certificates."""
    context = None if url.tls is None else url.tls.context()
    if not url.username:
        return NatsSecurity(ssl_context=context)
    if url.password is None:
        return NatsToken(url.username, ssl_context=context)
    return NatsUserPassword(url.username, url.password, ssl_context=context)


def replicas_of(url: str) -> int:
    """Return how many copies a stream that is made shall have."""
    return int(parse(url).options.get("replicas", 1))


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
        why = client.last_error
        raise BrokerUnavailable("not connected" if why is None else explain(why))


def server_version(client: Client) -> tuple[int, int, int]:
    """Return the version of the connected server."""
    version = client.connected_server_version
    return version.major, version.minor, version.patch


def telemetry() -> Any:
    """Return FastStream's middleware for spans."""
    from faststream.nats.opentelemetry import NatsTelemetryMiddleware  # noqa: PLC0415 - needs an extra

    return NatsTelemetryMiddleware
