"""How a Kafka cluster is reached, and confluent-kafka's errors as the one error of the broker."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from faststream.confluent import KafkaBroker
from faststream.confluent.prometheus import KafkaPrometheusMiddleware

from image_moderation.brokers.calls import Errors, unavailable_on
from image_moderation.brokers.kafka import handshake
from image_moderation.brokers.port import Options
from image_moderation.domain.outage import explain
from image_moderation.urls import parse

SHORTEST_SESSION = 6_000
"""Milliseconds; a broker refuses less unless its operator says otherwise."""
PREFETCHED_KILOBYTES = 16_384
"""Most that a consumer reads ahead."""


def client_settings(url: str) -> dict[str, Any]:
    """Return what every client of librdkafka takes for a MODERATION_BROKER_URL."""
    parts = parse(url)
    secure = parts.tls is not None
    settings: dict[str, Any] = {
        "bootstrap.servers": ",".join(parts.addresses),
        "security.protocol": "ssl" if secure else "plaintext",
        "socket.timeout.ms": 5_000,
        "reconnect.backoff.max.ms": 1_000,
        # Its own log has a line for each attempt; the health checks say once what is wrong.
        "log_level": 0,
    }
    if parts.tls is not None:
        # Without a file the system's authorities, wherever it keeps them.
        settings["ssl.ca.location"] = parts.tls.authorities or "probe"
        if parts.tls.certificate is not None:
            settings["ssl.certificate.location"] = parts.tls.certificate
            settings["ssl.key.location"] = parts.tls.key or parts.tls.certificate
    if parts.username:
        settings |= {
            "security.protocol": "sasl_ssl" if secure else "sasl_plaintext",
            "sasl.mechanism": parts.options.get("sasl", "PLAIN"),
            "sasl.username": parts.username,
            "sasl.password": parts.password,
        }
    return settings


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


class Admin(AdminClient):
    """Looks up topics, and says why that failed: the library gives the reason to a callback alone."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        """`settings` are those of `client_settings`. Nothing is asked yet."""
        self._settings = settings
        self._reason: KafkaError | None = None
        super().__init__({**settings, "error_cb": self._keep})  # type: ignore[dict-item]  # takes callbacks too

    def _keep(self, error: KafkaError) -> None:
        if error.code() != KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001 - its only name
            self._reason = error

    def list_topics(self, *args: Any, **kwargs: Any) -> Any:
        """As the library's own.

        Raises:
            KafkaException: the cluster does not answer, for this reason.
        """
        try:
            return super().list_topics(*args, **kwargs)
        except KafkaException as error:
            self.poll(0)
            known = self._reason or error.args[0]
            if "certificate" in known.str() and (why := handshake.reason(self._settings)):
                known = KafkaError(known.code(), why)
            raise KafkaException(known) from None


def _explain(error: BaseException) -> str:
    known = error.args[0] if error.args else None
    return explain(Exception(known.str()), known.name()) if isinstance(known, KafkaError) else explain(error)


errors: Errors = partial(unavailable_on, KafkaException, TimeoutError, OSError, explain=_explain)
"""Raises what the cluster, or the way to it, answers instead of a result as BrokerUnavailable."""
