"""How a RabbitMQ server is reached, and its client's errors as the one error of the broker.

Channels are those of aiormq, the layer below aio-pika. aio-pika's own reopen by themselves after a lost
connection: then it is unknown which messages can still be acked.
"""

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, cast
from urllib.parse import quote, urlencode
from weakref import WeakKeyDictionary

import aio_pika
import aiormq
from aio_pika.abc import AbstractConnection
from aiormq.exceptions import AMQPError, ChannelPreconditionFailed, InvalidFrameError
from faststream.rabbit import RabbitBroker
from faststream.rabbit.prometheus import RabbitPrometheusMiddleware
from faststream.security import BaseSecurity
from pamqp.commands import Basic

from image_moderation.brokers.calls import TIMEOUT, unavailable_on, within
from image_moderation.brokers.port import Options
from image_moderation.domain.errors import BrokerUnavailable, Misconfigured
from image_moderation.domain.outage import Cause
from image_moderation.urls import Url, parse

CLIENT_ERRORS = (AMQPError, OSError, RuntimeError)
"""The client's errors when the server, or the way to it, gives no result: RuntimeError for a closed channel
or connection, TimeoutError (an OSError) for no answer."""

_reasons: WeakKeyDictionary[AbstractConnection, BaseException] = WeakKeyDictionary()
"""Why the last attempt to connect again has failed."""
_unmarshal_strictly = Basic.Properties.unmarshal


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
    return RabbitBroker(
        _plain_url(url),
        security=BaseSecurity(ssl_context=None if url.tls is None else url.tls.context()),
        timeout=TIMEOUT,
        reconnect_interval=1.0,
        apply_types=False,
        logger=None,
        middlewares=options.middlewares(RabbitPrometheusMiddleware, _telemetry),
    )


def _plain_url(url: Url) -> str:
    """Return the same URL for the client, which gets certificates as a context."""
    login = f"{quote(url.username or 'guest', safe='')}:{quote(url.password or 'guest', safe='')}"
    query = f"?{urlencode(url.options)}" if url.options else ""
    return f"{url.scheme.name}://{login}@{url.addresses[0]}/{quote(url.name, safe='')}{query}"


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
        connection = await within(aio_pika.connect(_plain_url(parts), ssl_context=context))
    try:
        yield connection
    finally:
        await connection.close()


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
    """Let no message's properties end the connection, and let the health checks alone say what is wrong.

    The client decodes properties in the task that reads the connection. One id that isn't UTF-8, or one
    timestamp beyond the year 9999, would end the connection, and again after every redelivery. There is no
    setting for it (pamqp 4.0.1, aiormq 7.2.4).
    """
    Basic.Properties.unmarshal = _unmarshal_leniently  # type: ignore[assignment, method-assign]  # see above
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


def _unmarshal_leniently(properties: Basic.Properties, flags: int, data: bytes) -> None:
    """Leave out a property that can't be decoded, and those after it."""
    try:  # noqa: SIM105 - called once a message, where `suppress` would cost more
        _unmarshal_strictly(properties, flags, data)
    except Exception:  # noqa: BLE001, S110 - decoders raise many kinds; the body counts, not its properties
        pass
