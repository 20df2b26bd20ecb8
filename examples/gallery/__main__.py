"""`python -m examples.gallery`: a private server, the service and the site, with one command.

Only this module and `service_process` use the service in another way than through its contract.
"""

import logging
import secrets
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import redis
import typer
import uvicorn

from examples.gallery.app import build
from examples.gallery.connections import CONNECTIONS, Connection
from examples.gallery.service_process import NotStarted, service
from examples.gallery.site import Settings
from examples.gallery.standing import Rules
from image_moderation.embedded import EmbeddedError, EmbeddedRedis

BLOCK, REVIEW = 5, 3
DAYS = 30
"""The report window, and how long a verdict `cleared` protects a picture."""


def main(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of 127.0.0.1; 0 takes a free one.")] = 8000,
    data_dir: Annotated[
        Path | None, typer.Option(help="Keep everything there; without it, all is gone at the end.")
    ] = None,
    group_by_network: Annotated[
        bool, typer.Option("--group-by-network", help="Count all visitors from one address as one person.")
    ] = False,
    grace: Annotated[
        int,
        typer.Option(min=0, max=10_000, help="Minutes that a block waits for the moderator."),
    ] = 0,
) -> None:
    """Start a private server, the service and the gallery, and print the gallery's address."""
    _interrupt_on_sigterm()
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    key = secrets.token_bytes(32) if group_by_network else None
    try:
        # Bind first, so that a port in use is reported before anything starts.
        with _listening(port) as listener, _place(data_dir) as place:
            _run(listener, place, key, grace)
        code = 0
    except KeyboardInterrupt:
        code = 0  # the usual way to stop it
    except (EmbeddedError, NotStarted, redis.RedisError, OSError) as error:
        print(f"the gallery can't go on: {error}", file=sys.stderr)
        code = 1
    raise typer.Exit(code)


def _run(listener: socket.socket, place: Path, network_key: bytes | None, grace: int) -> None:
    variables = {
        "MODERATION_BLOCK_THRESHOLD": str(BLOCK),
        "MODERATION_REVIEW_THRESHOLD": str(REVIEW),
        "MODERATION_REPORT_WINDOW": f"{DAYS}d",
        "MODERATION_IMMUNITY": f"{DAYS}d",
        "MODERATION_REVIEW_GRACE": f"{grace}m" if grace else "off",
    }
    with (
        EmbeddedRedis(place / "data") as server,
        service({"MODERATION_BROKER_URL": server.url, **variables}, place / "service.log"),
    ):
        rules = Rules(timedelta(days=DAYS), timedelta(days=DAYS), timedelta(minutes=grace) if grace else None)
        settings = Settings(server.url, rules, network_key)
        config = uvicorn.Config(
            build(settings),
            http=Connection,
            limit_concurrency=CONNECTIONS,
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=3,
            server_header=False,
            proxy_headers=False,  # there is no proxy in front, so a client must not choose its own address
        )
        host, port = listener.getsockname()[:2]
        print(f"The gallery is open: http://{host}:{port}", flush=True)
        print(
            f"{BLOCK} people block a picture; after {REVIEW} a moderator is asked. Ctrl-C ends it.",
            flush=True,
        )
        uvicorn.Server(config).run(sockets=[listener])


@contextmanager
def _listening(port: int) -> Iterator[socket.socket]:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError as error:
            raise OSError(
                f"port {port} of 127.0.0.1 can't be used ({error.strerror}): try --port 0"
            ) from None
        listener.listen()
        yield listener


@contextmanager
def _place(data_dir: Path | None) -> Iterator[Path]:
    if data_dir is not None:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        yield data_dir
        return
    with tempfile.TemporaryDirectory(prefix="image-moderation-gallery-") as folder:
        yield Path(folder)


def _interrupt_on_sigterm() -> None:
    """Handle SIGTERM like Ctrl-C, so that every context manager exits."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with suppress(ValueError):  # not the main thread
        signal.signal(signal.SIGTERM, interrupt)


if __name__ == "__main__":
    typer.run(main)
