"""`serve`: the service itself."""

import asyncio
import os
import signal
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from service.app import build
from service.domain.errors import Misconfigured
from service.embedded import EmbeddedRedis
from service.settings import Settings, SettingsError
from service.telemetry.logs import configure


def serve(
    embedded: Annotated[bool, typer.Option("--embedded", help="Start a private Valkey or Redis too.")] = False,
    data_dir: Annotated[Path | None, typer.Option(help="Where the embedded server keeps its data.")] = None,
) -> None:
    """Run the service until SIGTERM or Ctrl-C."""
    with EmbeddedRedis(data_dir=data_dir) if embedded else nullcontext() as server:
        try:
            settings = Settings.load(embedded_url=server.url if server else None)
        except SettingsError as error:
            print(error, file=sys.stderr)
            raise typer.Exit(2) from None
        configure(settings.log_level, settings.log_format)
        if server:
            print(f"export MODERATION_BROKER_URL={server.url}", file=sys.stderr)
        try:
            uvloop.run(_run(settings))
        except Misconfigured as error:
            print(error, file=sys.stderr)
            raise typer.Exit(2) from None


async def _run(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await build(settings).run(stop)
