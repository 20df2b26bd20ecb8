"""How a Kafka cluster is reached, and its client's errors as the one error of the broker."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from confluent_kafka import KafkaError, KafkaException

from image_moderation.domain.errors import BrokerUnavailable, Misconfigured

PATIENCE = 4.0
"""Seconds that the cluster may take to answer."""
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


def client_settings(url: str) -> dict[str, Any]:
    """What every client of librdkafka takes for a MODERATION_BROKER_URL.

    Raises:
        Misconfigured: its query asks for something unknown.
    """
    parts = urlsplit(url)
    secure = parts.scheme == "kafka+tls"
    settings: dict[str, Any] = {
        "bootstrap.servers": parts.netloc.rpartition("@")[2],
        "security.protocol": "ssl" if secure else "plaintext",
        "socket.timeout.ms": 5_000,
        "reconnect.backoff.max.ms": 1_000,
        # Its own log would tell each attempt; the health checks say what is wrong, once.
        "log_level": 0,
    }
    if secure:
        settings["ssl.ca.location"] = "probe"  # the system's authorities, wherever it keeps them
    mechanism = _mechanism(parts.query)
    if parts.username:
        settings |= {
            "security.protocol": "sasl_ssl" if secure else "sasl_plaintext",
            "sasl.mechanism": mechanism or "PLAIN",
            "sasl.username": unquote(parts.username),
            "sasl.password": unquote(parts.password or ""),
        }
    elif mechanism:
        raise Misconfigured("the Kafka URL asks for SASL and has no user: kafka://user:password@host")
    return settings


def _mechanism(query: str) -> str | None:
    asked = parse_qsl(query, keep_blank_values=True)
    if not asked:
        return None
    if [name for name, _ in asked] != ["sasl"] or asked[0][1] not in MECHANISMS:
        raise Misconfigured(f"the Kafka URL's query takes sasl= with one of {', '.join(MECHANISMS)} alone")
    return asked[0][1]


@asynccontextmanager
async def errors() -> AsyncIterator[None]:
    """Whatever the cluster or the way to it answers instead of a result is the broker being away."""
    try:
        yield
    except (KafkaException, TimeoutError, OSError) as error:
        raise BrokerUnavailable(_text(error)) from error


def _text(error: BaseException) -> str:
    known = error.args[0] if error.args else None
    if isinstance(known, KafkaError):
        return f"{known.name()}: {known.str()}"
    return f"{type(error).__name__}: {str(error) or 'no answer in time'}"
