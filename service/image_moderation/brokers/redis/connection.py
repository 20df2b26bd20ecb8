"""How a Redis server is reached, and redis-py's errors as the one error of the broker."""

from functools import partial
from typing import Any

from faststream.redis import RedisBroker
from faststream.redis.prometheus import RedisPrometheusMiddleware
from redis.exceptions import RedisError

from image_moderation.brokers.calls import Errors, unavailable_on
from image_moderation.brokers.port import Options
from image_moderation.domain.outage import explain
from image_moderation.redis_connection import SOCKET_TIMEOUT, connection_class, needed_grants
from image_moderation.urls import parse
from image_moderation.urls.redis_arguments import to_one_server

errors: Errors = partial(
    unavailable_on, RedisError, OSError, explain=lambda error: explain(error) + needed_grants(error)
)
"""Raises what the server, or the way to it, answers instead of a result as BrokerUnavailable."""


def make_broker(options: Options) -> RedisBroker:
    """Return FastStream's broker, not yet connected."""
    url = parse(options.url)
    arguments: Any = to_one_server(url) | {
        name: url.options[name] for name in ("max_connections",) if name in url.options
    }
    # FastStream has a parameter `protocol` of its own, so redis-py's is given in a URL.
    protocol = arguments.pop("protocol", None)
    return RedisBroker(
        "redis://" if protocol is None else f"redis://?protocol={protocol}",
        connection_class=connection_class(url),  # type: ignore[arg-type]  # it takes any of redis-py's
        socket_timeout=SOCKET_TIMEOUT,
        socket_connect_timeout=SOCKET_TIMEOUT,
        apply_types=False,
        logger=None,  # type: ignore[arg-type]  # none: the health checks say once what is wrong
        middlewares=options.middlewares(RedisPrometheusMiddleware, _telemetry),
        protocol="redis",
        **arguments,
    )


def _telemetry() -> Any:
    from faststream.redis.opentelemetry import RedisTelemetryMiddleware  # noqa: PLC0415 - needs an extra

    return RedisTelemetryMiddleware
