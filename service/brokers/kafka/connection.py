"""How a Kafka cluster is reached, and its errors as the one error of the broker."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

from aiokafka.errors import KafkaError
from faststream.kafka.security import parse_security
from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512

from service.domain.errors import BrokerUnavailable, Misconfigured

PATIENCE = 5.0
"""Seconds that the cluster may take to answer."""
MECHANISMS = {"PLAIN": SASLPlaintext, "SCRAM-SHA-256": SASLScram256, "SCRAM-SHA-512": SASLScram512}

T = TypeVar("T")


def connection_options(url: str) -> dict[str, Any]:
    """What aiokafka's clients take for a MODERATION_BROKER_URL.

    Raises:
        Misconfigured: its query is none that this service knows.
    """
    return {"bootstrap_servers": servers(url), **parse_security(security(url))}


def servers(url: str) -> list[str]:
    """The hosts of a MODERATION_BROKER_URL."""
    return urlsplit(url).netloc.rpartition("@")[2].split(",")


def security(url: str) -> BaseSecurity:
    """The credentials and the encryption of a MODERATION_BROKER_URL, as FastStream takes them.

    Raises:
        Misconfigured: its query is none that this service knows.
    """
    parts = urlsplit(url)
    query = parse_qs(parts.query, keep_blank_values=True)
    mechanism = query.pop("sasl", ["PLAIN"])[0]
    if query or mechanism not in MECHANISMS:
        raise Misconfigured(f"MODERATION_BROKER_URL: its query takes sasl={' or '.join(MECHANISMS)} alone")
    tls = ssl.create_default_context() if parts.scheme == "kafka+tls" else None
    if not parts.username:
        return BaseSecurity(ssl_context=tls, use_ssl=tls is not None)
    username, password = unquote(parts.username), unquote(parts.password or "")
    return MECHANISMS[mechanism](username, password, ssl_context=tls, use_ssl=tls is not None)


def keep_quiet() -> None:
    """The health checks say what is wrong, once; by itself the client would log each attempt."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


@asynccontextmanager
async def errors() -> AsyncIterator[None]:
    """Whatever the cluster or the way to it answers instead of a result is the broker being away."""
    try:
        yield
    except (TimeoutError, KafkaError, OSError) as error:
        raise BrokerUnavailable(f"{type(error).__name__}: {str(error) or 'no answer in time'}") from error


async def within(call: Awaitable[T], seconds: float = PATIENCE) -> T:
    """Wait for a call that might wait for ever; past that it is a TimeoutError."""
    async with asyncio.timeout(seconds):
        return await call
