"""uvicorn in the service's own event loop, without its signal handlers and without its `sys.exit`.

Its connections are limited in number, and each request in time, because anybody who reaches the port can open
them.
"""

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Iterator

import structlog
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from image_moderation.telemetry.http import App

_DRAIN_SECONDS = 2
"""Seconds; a slow scraper must not use up the shutdown timeout."""

REQUEST_TIMEOUT = 10.0
"""Seconds from the connection, or from the answer before, until a request must be answered in full."""
MOST_CONNECTIONS = 100
"""Probes and scrapers hold a few."""

log = structlog.get_logger(__name__)


class CannotListen(Exception):
    """The address can't be bound: one line for the operator."""


class HttpServer:
    """Serves one ASGI application on one address, from `start` to `stop`; can't be started twice."""

    def __init__(self, app: App, host: str, port: int) -> None:
        """Port 0 takes a free port."""
        self.host = host
        self.port = port
        """Once `start` has returned, the real port."""
        self._server = _Server(
            uvicorn.Config(
                app,
                http=_Connection,
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="error",  # a stranger's bad request is nothing for this log
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=_DRAIN_SECONDS,
            )
        )
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen, and return once requests are answered.

        Raises:
            CannotListen: the address can't be bound.
        """
        try:
            listener = await _bind(self.host, self.port)
        except OSError as error:
            raise CannotListen(_explain(error, self.host, self.port)) from error
        self.port = listener.getsockname()[1]
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]), name="http")
        up = asyncio.create_task(self._server.up.wait())
        await asyncio.wait({self._task, up}, return_when=asyncio.FIRST_COMPLETED)
        if not up.done():
            up.cancel()
            listener.close()
            await self._task  # raises what went wrong
        host = f"[{self.host}]" if ":" in self.host else self.host
        log.info("http_started", url=f"http://{host}:{self.port}")

    async def stop(self) -> None:
        """Finish open requests, for two seconds at most, and close. Repeating is safe."""
        if self._task is not None:
            self._server.should_exit = True
            await self._task


class _Connection(H11Protocol):
    """One connection. uvicorn itself limits only how long it may be idle after an answer."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        self._wait_for_request()
        if len(self.connections) > MOST_CONNECTIONS:
            # The oldest goes, not this one: who holds many open must not keep the probes out.
            ours = [one for one in self.connections if isinstance(one, _Connection)]
            oldest = min(ours, key=lambda one: one.waits_until.when())
            self.connections.discard(oldest)
            oldest.transport.abort()

    def _wait_for_request(self) -> None:
        # Not close(), which would wait for a client that doesn't read.
        self.waits_until = self.loop.call_later(REQUEST_TIMEOUT, self.transport.abort)

    def on_response_complete(self) -> None:
        self.waits_until.cancel()
        self._wait_for_request()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self.waits_until.cancel()
        super().connection_lost(exc)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take no signals: on SIGTERM the service drains the intake before it stops this server."""
        yield


async def _bind(host: str, port: int) -> socket.socket:
    """Bind the address here, because uvicorn calls `sys.exit` if it can't."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    family, _, _, _, address = found[0]
    both = family == socket.AF_INET6 and host == "::" and socket.has_dualstack_ipv6()
    return socket.create_server(address[:2], family=family, backlog=128, dualstack_ipv6=both)


def _explain(error: OSError, host: str, port: int) -> str:
    """Return one line: why the address can't be bound, and the variable to set."""
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        hint = "set MODERATION_HTTP_HOST to an address of this machine (0.0.0.0 for all)"
    elif error.errno == errno.EACCES:
        hint = "set MODERATION_HTTP_PORT to a port from 1024 on"
    else:
        hint = "set MODERATION_HTTP_PORT to another port (0 takes a free one)"
    why = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
    return f"can't listen on {host}:{port}: {why}; {hint}"
