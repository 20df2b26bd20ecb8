"""`serve`: runs the service, with `--embedded` on a private server."""

import asyncio
import os
import shlex
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import structlog
import uvloop

from image_moderation.cli.output import Failed, WrongCall, complain, say
from image_moderation.embedded import EmbeddedError, EmbeddedRedis, PortTaken
from image_moderation.settings import Settings
from image_moderation.telemetry.logs import configure, is_json, log_uncaught
from image_moderation.telemetry.server import CannotListen

EXIT_TIMEOUT = 2.0
"""Seconds after the drain for which a thread of the client may hold up the end.

Kafka's waits for a cluster that does not answer, and no call of it can be cancelled.
"""
WATCH_PERIOD = 0.5
"""Seconds between checks of the embedded server."""

log = structlog.get_logger(__name__)


def tell(text: str) -> None:
    """Say why `serve` ends or doesn't start: where the log is JSON, by a line of it."""
    log_format = _log_format()
    if is_json(log_format):
        configure("info", log_format)  # the settings may not have been read, or may leave errors out
        log.error("serve_failed", error=text)
    else:
        complain(text)


def _log_format() -> str | None:
    """Return what the environment chooses, whatever else is wrong with the settings."""
    chosen = os.environ.get("MODERATION_LOG_FORMAT", "").strip().lower()
    return chosen if chosen in ("json", "console") else None


def run(data_dir: Path | None, broker_port: int | None, *, embedded: bool) -> None:
    """Run the service until SIGTERM or SIGINT.

    Raises:
        EmbeddedError: there is no server to start, or it doesn't start.
    """
    configure("info", _log_format())
    log_uncaught()
    if data_dir is not None and not embedded:
        raise WrongCall("serve: --data-dir needs --embedded, whose server keeps its data there")
    if broker_port is not None and not embedded:
        raise WrongCall("serve: --broker-port needs --embedded, whose server listens there")
    if broker_port is not None and broker_port > 65535:
        raise WrongCall("serve: --broker-port must be 1 to 65535")
    # The server stops after the service, which finishes the batches in hand first.
    with _private_server(data_dir, broker_port) if embedded else nullcontext() as server:
        settings = Settings.load(embedded_url=server.url if server else None)
        configure(settings.log_level, settings.log_format)
        if server:
            _introduce(server, settings)
        uvloop.run(_run(settings, server))


@contextmanager
def _private_server(data_dir: Path | None, port: int | None) -> Iterator[EmbeddedRedis]:
    server = EmbeddedRedis(data_dir, port=port or 0)
    try:
        server.start()
    except PortTaken as error:
        raise WrongCall(
            f"{error}; name another port: serve --embedded --broker-port N, or make run BROKER_PORT=N"
        ) from None
    try:
        yield server
    finally:
        server.stop()


def _introduce(server: EmbeddedRedis, settings: Settings) -> None:
    # On standard output, because standard error is the log.
    engine, command = server.engine, _command()
    say(f"A private {engine.name} {engine.version} server is running; its data is in {server.data_dir}.")
    say("To have an image blocked, in another terminal:")
    say(f"  export MODERATION_BROKER_URL={shlex.quote(server.tcp_url if server.port else server.url)}")
    say(f"  {command} watch &")
    say(f"  for n in $(seq {settings.block_threshold}); do {command} report img-42 --reason nudity; done")
    say(f"  {command} inspect img-42")
    say("Ctrl-C ends the service.")


def _command() -> str:
    """Return what was called, for a shell in any directory."""
    program = Path(sys.argv[0]).absolute()
    if program.name == "__main__.py":
        return f"{shlex.quote(sys.executable)} -m image_moderation"
    return shlex.quote(str(program))


async def _run(settings: Settings, server: EmbeddedRedis | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    service = asyncio.create_task(_serve(settings, stop))
    watchers = [asyncio.create_task(_watch(server))] if server else []
    try:
        await asyncio.wait([service, *watchers], return_when=asyncio.FIRST_COMPLETED)
        for watcher in watchers:
            if watcher.done() and not service.done():
                # Without its server the service can't drain.
                service.cancel()
                await asyncio.wait([service])
                await watcher
    finally:
        for watcher in watchers:
            watcher.cancel()
    await service
    if server is None:  # a private server is ended after this
        _end_in_time()


def _end_in_time() -> None:
    """End the process after EXIT_TIMEOUT, whatever threads are at work: all that is acked is durable."""
    timer = threading.Timer(EXIT_TIMEOUT, os._exit, (0,))
    timer.daemon = True
    timer.start()


async def _serve(settings: Settings, stop: asyncio.Event) -> None:
    # Imports FastStream and more that only the service needs; other commands start twice as fast without.
    from image_moderation.app import build

    try:
        await build(settings).run(stop)
    except CannotListen as error:
        raise Failed(str(error)) from None


async def _watch(server: EmbeddedRedis) -> None:
    """Never return; raise Failed once the embedded server has ended."""
    while True:
        try:
            server.check()
        except EmbeddedError as error:
            raise Failed(str(error)) from None
        await asyncio.sleep(WATCH_PERIOD)
