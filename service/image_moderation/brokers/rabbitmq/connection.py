"""How a RabbitMQ server is reached, and its client's errors as the one error of the broker.

Channels are those of aiormq, the layer below aio-pika. aio-pika's own reopen by themselves after a lost
connection: then it is unknown which messages can still be acked.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from ssl import SSLContext
from typing import Any, cast
from urllib.parse import quote, urlencode
from weakref import WeakKeyDictionary

import aio_pika
import aiormq
from aio_pika.abc import AbstractConnection
from aio_pika.robust_connection import RobustConnection
from aiormq.exceptions import AMQPError, ChannelPreconditionFailed, InvalidFrameError
from faststream.rabbit import RabbitBroker
from faststream.rabbit.prometheus import RabbitPrometheusMiddleware
from faststream.security import BaseSecurity

from image_moderation.brokers.calls import TIMEOUT, unavailable_on, within
from image_moderation.brokers.port import Options
from image_moderation.brokers.rabbitmq.decoding import prepare
from image_moderation.domain.errors import BrokerUnavailable, Misconfigured
from image_moderation.domain.outage import Cause
from image_moderation.urls import Url, parse

CLIENT_ERRORS = (AMQPError, OSError, RuntimeError)
"""The client's errors when the server, or the way to it, gives no result: RuntimeError for a closed channel
or connection, TimeoutError (an OSError) for no answer."""

HEARTBEAT = 5
"""Seconds between heartbeats, unless the URL says otherwise. A silent connection is left after four."""

_reasons: WeakKeyDictionary[AbstractConnection, BaseException] = WeakKeyDictionary()
"""Why the last attempt to connect again has failed."""


@contextmanager
def errors() -> Iterator[None]:
    """Raise the client's errors as BrokerUnavailable.

    A queue or exchange that is there with other arguments is Misconfigured: waiting would not mend that.
    """
    with unavailable_on(*CLIENT_ERRORS):
        try:
            yield
        except InvalidFrameError as error:
            if "Connection.OpenOk" not in str(error):
                raise
            # All that the client tells of a server that refuses the virtual host.
            raise BrokerUnavailable(
                f"{Cause.PERMISSION}: there is no such virtual host, or this user may not use it"
            ) from error
        except ChannelPreconditionFailed as error:
            raise Misconfigured(f"RabbitMQ has it declared with other arguments: {error}") from error


def make_broker(options: Options) -> RabbitBroker:
    """Return FastStream's broker, not yet connected."""
    _prepare_client()
    url = parse(options.url)
    broker = RabbitBroker(
        _plain_url(url, url.addresses[0]),
        security=BaseSecurity(ssl_context=None if url.tls is None else url.tls.context()),
        timeout=TIMEOUT,
        reconnect_interval=1.0,
        apply_types=False,
        logger=None,
        middlewares=options.middlewares(RabbitPrometheusMiddleware, _telemetry),
    )
    # What FastStream passes on to aio-pika; its own parameters don't include the class.
    broker._connection_kwargs["connection_class"] = partial(_Connection, hosts=deque(url.hosts))  # noqa: SLF001
    return broker


class _Connection(RobustConnection):
    """Tries the servers of a cluster in turn: the next one whenever a connection is lost or fails."""

    def __init__(self, url: Any, *, hosts: deque[tuple[str, int]], **kwargs: Any) -> None:
        """`hosts` are those of all; the first is tried next, also by a connection that is made anew."""
        super().__init__(url, **kwargs)
        self._hosts = hosts
        self._turn()

    def _turn(self) -> None:
        host, port = self._hosts[0]
        self.url = self.url.with_host(host).with_port(port)

    async def _on_connection_close(self, closing: "asyncio.Future[Any]") -> None:
        """Called when a connection is lost, and when an attempt has failed."""
        self._hosts.rotate(-1)
        self._turn()
        await super()._on_connection_close(closing)


def _plain_url(url: Url, address: str) -> str:
    """Return the URL of one server for the client, which gets certificates as a context."""
    login = f"{quote(url.username or 'guest', safe='')}:{quote(url.password or 'guest', safe='')}"
    query = urlencode({"heartbeat": HEARTBEAT, **url.options})
    return f"{url.scheme.name}://{login}@{address}/{quote(url.name, safe='')}?{query}"


def _telemetry() -> Any:
    from faststream.rabbit.opentelemetry import RabbitTelemetryMiddleware  # noqa: PLC0415 - needs an extra

    return RabbitTelemetryMiddleware


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[AbstractConnection]:
    """Connect for the command line."""
    _prepare_client()
    parts = parse(url)
    context = None if parts.tls is None else parts.tls.context()
    with errors():
        connection = await _connect_to_one(
            [_plain_url(parts, address) for address in parts.addresses], context
        )
    try:
        yield connection
    finally:
        await connection.close()


async def _connect_to_one(servers: list[str], context: SSLContext | None) -> AbstractConnection:
    """Connect to the first that takes the connection. Errors are the client's, for the last one."""
    *others, last = servers
    for server in others:
        with suppress(*CLIENT_ERRORS):
            return await within(aio_pika.connect(server, ssl_context=context))
    return await within(aio_pika.connect(last, ssl_context=context))


async def open_channel(connection: AbstractConnection, *, publishing: bool = False) -> aiormq.Channel:
    """Open a channel; one for publishing confirms what it took, and raises PublishError for what it did not.

    Errors are the client's.
    """
    transport = connection.transport
    if transport is None or transport.connection.is_closed:
        raise ConnectionError("the connection is lost") from _reasons.get(connection)
    opening = transport.connection.channel(publisher_confirms=publishing, on_return_raises=publishing)
    return cast("aiormq.Channel", await within(opening))  # the abstract class lacks `consumers`


def _prepare_client() -> None:
    """Let the health checks alone say what is wrong."""
    prepare()
    for name in ("aio_pika", "aiormq"):  # they would log each attempt to connect
        logging.getLogger(name).setLevel(logging.CRITICAL)
    attempts = logging.getLogger("aio_pika.robust_connection")
    attempts.handlers[:] = [_KeepReason(logging.WARNING)]
    attempts.setLevel(logging.WARNING)
    attempts.propagate = False


class _KeepReason(logging.Handler):
    """Keeps why a lost connection doesn't come back, which the client tells its log alone."""

    def emit(self, record: logging.LogRecord) -> None:
        match record.args:
            case (AbstractConnection() as connection, *rest):
                for reason in rest:
                    if isinstance(reason, BaseException):
                        _reasons[connection] = reason
