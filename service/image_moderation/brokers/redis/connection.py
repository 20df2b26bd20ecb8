"""FastStream's broker for Redis, and redis-py's errors as the one error of the transport."""

from functools import partial
from typing import Any

from faststream.redis import RedisBroker
from faststream.redis.prometheus import RedisPrometheusMiddleware
from redis.exceptions import RedisError

from image_moderation.brokers.calls import Errors, unavailable_on
from image_moderation.brokers.port import Options
from image_moderation.domain.outage import explain
from image_moderation.redis_connection import needed_grants

errors: Errors = partial(
    unavailable_on, RedisError, OSError, explain=lambda error: explain(error) + needed_grants(error)
)
"""Raises what the server, or the way to it, answers instead of a result as BrokerUnavailable."""


def make_broker(options: Options) -> RedisBroker:
    """Return FastStream's broker, which has the subscribers and the middlewares, and no server: the transport
    reads and publishes with the one client of this project, which also follows Sentinels.
    """
    return RedisBroker(
        apply_types=False,
        logger=None,  # type: ignore[arg-type]  # none: the health checks say once what is wrong
        middlewares=options.middlewares(RedisPrometheusMiddleware, _telemetry),
        protocol="redis",
    )


def _telemetry() -> Any:
    from faststream.redis.opentelemetry import RedisTelemetryMiddleware  # noqa: PLC0415 - needs an extra

    return RedisTelemetryMiddleware
