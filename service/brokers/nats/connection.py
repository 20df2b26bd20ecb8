"""How a NATS server is reached, and its errors as the one error of the broker."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import nats
from nats.aio.client import Client
from nats.errors import Error

from service.domain.errors import BrokerUnavailable

PATIENCE = 5.0
"""Seconds that the server may take to answer."""

T = TypeVar("T")


def connection_options(url: str) -> dict[str, Any]:
    """What nats-py's and FastStream's `connect` take for a MODERATION_BROKER_URL."""
    parts = urlsplit(url)
    scheme = "tls" if parts.scheme == "nats+tls" else "nats"
    hosts = parts.netloc.rpartition("@")[2].split(",")
    options: dict[str, Any] = {
        "servers": [f"{scheme}://{host}" for host in hosts],
        # For ever: after sixty attempts, the default, its loop would spin.
        "max_reconnect_attempts": -1,
        "reconnect_time_wait": 0.5,
        "connect_timeout": 2,
        "error_cb": _ignore,
    }
    if parts.username and parts.password is None:
        options["token"] = unquote(parts.username)
    elif parts.username:
        options |= {"user": unquote(parts.username), "password": unquote(parts.password or "")}
    return options


async def _ignore(error: Exception) -> None:
    """The health checks say what is wrong, once; by itself the client would log each attempt."""


@asynccontextmanager
async def errors() -> AsyncIterator[None]:
    """Whatever the server or the way to it answers instead of a result is the broker being away."""
    try:
        yield
    except (TimeoutError, Error, OSError) as error:
        text = str(error).removeprefix("nats: ") or "no answer in time"
        raise BrokerUnavailable(f"{type(error).__name__}: {text}") from error


async def within(call: Awaitable[T], seconds: float = PATIENCE) -> T:
    """Wait for a call that might wait for ever; past that it is a TimeoutError."""
    async with asyncio.timeout(seconds):
        return await call


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Client]:
    """A client of its own, for the command line."""
    async with errors():
        client = await within(nats.connect(**connection_options(url)))
    try:
        yield client
    finally:
        await client.close()
