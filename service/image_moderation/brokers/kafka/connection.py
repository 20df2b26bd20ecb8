"""How a Kafka cluster is reached, and confluent-kafka's errors as the one error of the broker."""

from functools import partial
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from confluent_kafka import KafkaError, KafkaException
from faststream.confluent import KafkaBroker
from faststream.confluent.prometheus import KafkaPrometheusMiddleware

from image_moderation.brokers.calls import Errors, describe, unavailable_on
from image_moderation.brokers.port import Options
from image_moderation.domain.errors import Misconfigured

MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
SHORTEST_SESSION = 6_000
"""Milliseconds; a broker refuses less unless its operator says otherwise."""
PREFETCHED_KILOBYTES = 16_384
"""Most that a consumer reads ahead."""


def client_settings(url: str) -> dict[str, Any]:
    """Return what every client of librdkafka takes for a MODERATION_BROKER_URL.

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
        # Its own log has a line for each attempt; the health checks say once what is wrong.
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


def consumer_settings(options: Options) -> dict[str, Any]:
    """Return the settings of the service's consumer, a member of the group."""
    session = max(options.redeliver_after, SHORTEST_SESSION)
    return client_settings(options.url) | {
        "client.id": options.consumer,
        "group.id": options.group,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",
        "partition.assignment.strategy": "roundrobin",  # all members must have the same
        "session.timeout.ms": session,
        "heartbeat.interval.ms": session // 3,
        # A refresh that meets the group's answer makes the client join once more. That answer comes 3 s after
        # joining, so a refresh each second would meet it often.
        "topic.metadata.refresh.interval.ms": 10_000,
        "queued.max.messages.kbytes": PREFETCHED_KILOBYTES,
        "fetch.max.bytes": PREFETCHED_KILOBYTES * 1024,
        "fetch.queue.backoff.ms": 10,  # with the default the queue is empty for most of a second
    }


def make_broker(options: Options) -> KafkaBroker:
    """Return FastStream's broker, not yet connected."""
    settings = client_settings(options.url)
    return KafkaBroker(
        settings["bootstrap.servers"],
        config=settings,  # type: ignore[arg-type]  # a dictionary with the keys of theirs
        client_id=options.consumer,
        apply_types=False,
        logger=None,
        middlewares=options.middlewares(KafkaPrometheusMiddleware, _telemetry),
    )


def _telemetry() -> Any:
    from faststream.confluent.opentelemetry import KafkaTelemetryMiddleware  # noqa: PLC0415 - needs an extra

    return KafkaTelemetryMiddleware


def _explain(error: BaseException) -> str:
    known = error.args[0] if error.args else None
    return f"{known.name()}: {known.str()}" if isinstance(known, KafkaError) else describe(error)


errors: Errors = partial(unavailable_on, KafkaException, TimeoutError, OSError, explain=_explain)
"""Raises what the cluster, or the way to it, answers instead of a result as BrokerUnavailable."""
