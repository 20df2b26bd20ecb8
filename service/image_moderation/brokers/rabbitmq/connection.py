"""How a RabbitMQ server is reached, and its errors as the one error of the broker."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import TypeVar

import aio_pika
from aio_pika.abc import AbstractConnection
from aiormq.exceptions import AMQPError, ChannelPreconditionFailed

from image_moderation.brokers.rabbitmq.properties import read_leniently
from image_moderation.domain.errors import BrokerUnavailable, Misconfigured

PATIENCE = 5.0
"""Seconds that the server may take to answer."""

T = TypeVar("T")


def prepare_client() -> None:
    """The health checks say what is wrong, once; by itself the client would log each attempt.

    And no property of a message may break its connection.
    """
    read_leniently()
    for name in ("aio_pika", "aiormq"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


@asynccontextmanager
async def errors() -> AsyncIterator[None]:
    """Whatever the server or the way to it answers instead of a result is the broker being away.

    But for a queue or exchange that is there with other arguments: waiting would not mend that.
    """
    try:
        yield
    except ChannelPreconditionFailed as error:
        raise Misconfigured(
            f"RabbitMQ has it otherwise declared than this service needs it: {error}"
        ) from error
    except (TimeoutError, AMQPError, OSError, RuntimeError) as error:
        # RuntimeError is aio-pika's word for a connection or channel that is closed.
        why = "no answer in time" if isinstance(error, TimeoutError) else " ".join(str(error).split())
        raise BrokerUnavailable(f"{type(error).__name__}: {why}") from error


async def within(call: Awaitable[T], seconds: float = PATIENCE) -> T:
    """Wait for a call that might wait for ever; past that it is a TimeoutError."""
    async with asyncio.timeout(seconds):
        return await call


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[AbstractConnection]:
    """A connection of its own, for the command line."""
    prepare_client()
    async with errors():
        connection = await within(aio_pika.connect(url))
    try:
        yield connection
    finally:
        await connection.close()
