"""`serve`: the service itself, with a server of its own if asked."""

import asyncio
import os
import shlex
import signal
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from image_moderation.cli.output import Failed, WrongCall, note
from image_moderation.embedded import EmbeddedError, EmbeddedRedis
from image_moderation.settings import Settings
from image_moderation.telemetry.logs import configure

WATCH_PERIOD = 0.5
"""Seconds between looks at the embedded server."""


def serve(
    embedded: Annotated[
        bool, typer.Option("--embedded", help="Start a private Valkey or Redis, as broker and store.")
    ] = False,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            file_okay=False,
            help="Where the embedded server keeps its data; by default under the user's state directory.",
        ),
    ] = None,
) -> None:
    """Run the service until SIGTERM or Ctrl-C, which finish the work in hand.

    It is configured by MODERATION_* variables; MODERATION_BROKER_URL is required unless --embedded.
    """
    if data_dir is not None and not embedded:
        raise WrongCall("serve: --data-dir is where the embedded server keeps its data; it needs --embedded")
    # The server outlives the service: what is in hand is finished before it stops.
    with EmbeddedRedis(data_dir=data_dir) if embedded else nullcontext() as server:
        settings = Settings.load(embedded_url=server.url if server else None)
        configure(settings.log_level, settings.log_format)
        if server:
            _introduce(server, settings)
        uvloop.run(_run(settings, server))


def _introduce(server: EmbeddedRedis, settings: Settings) -> None:
    engine = server.engine
    note(f"A private {engine.name} {engine.version} is up; its data is in {server.data_dir}.")
    note("To report an image, in another terminal:")
    note(f"  export MODERATION_BROKER_URL={shlex.quote(server.url)}")
    note("  image-moderation report img-42 --reason nudity")
    note(
        f"At {settings.block_threshold} distinct reporters it is blocked: `image-moderation watch` shows it, "
        "`image-moderation inspect img-42` says why. Ctrl-C ends."
    )


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
                # Without its server there is nothing to drain.
                service.cancel()
                await asyncio.wait([service])
                await watcher
    finally:
        for watcher in watchers:
            watcher.cancel()
    await service


async def _serve(settings: Settings, stop: asyncio.Event) -> None:
    # FastStream and all else that only the service needs: other commands start twice as fast without.
    from image_moderation.app import build  # noqa: PLC0415

    try:
        await build(settings).run(stop)
    except OSError as error:
        where = f"{settings.http_host}:{settings.http_port}"
        why = os.strerror(error.errno) if error.errno else error
        raise Failed(f"can't listen on {where}: {why}") from None


async def _watch(server: EmbeddedRedis) -> None:
    """Return never; raise Failed once the embedded server has ended."""
    while True:
        try:
            server.check()
        except EmbeddedError as error:
            raise Failed(str(error)) from None
        await asyncio.sleep(WATCH_PERIOD)
