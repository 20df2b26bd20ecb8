"""The real brokers that tests start, each behind the same few calls, and what each can and can't do."""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, get_args

from image_moderation.embedded import EmbeddedRedis
from tests.support.brokers.cluster import Cluster
from tests.support.brokers.harness import Harness

Name = Literal["redis", "nats", "rabbitmq", "kafka"]
BROKERS: tuple[Name, ...] = tuple(name for name in get_args(Name) if find_spec(f"{__package__}.{name}"))


OLD_NATS = "nats-2.9"
"""NATS on the older server that Debian has, beside the newest."""
KAFKA_MOCK = "kafka-mock"
"""Kafka's mock, which machines without the real one use for "kafka"."""


def start(name: str, place: Path, redis_server: EmbeddedRedis) -> Harness:
    """Start one of BROKERS, OLD_NATS or KAFKA_MOCK, with its files in `place`; close it in the end."""
    if name == OLD_NATS:
        from tests.support.brokers.nats import OldNatsHarness

        return OldNatsHarness(place)
    if name in ("kafka", KAFKA_MOCK):
        from tests.support.brokers.kafka import make_harness

        return make_harness(place, mock=name == KAFKA_MOCK)
    if name == "redis":
        from tests.support.brokers.redis import RedisHarness

        return RedisHarness(redis_server)
    module = import_module(f"{__package__}.{name}")
    harness: Harness = getattr(module, f"{name.capitalize()}Harness")(place)
    return harness


def start_cluster(name: str, place: Path) -> Cluster:
    """Start three nodes of a broker, or of OLD_NATS; close them in the end."""
    if name == "rabbitmq":
        from tests.support.brokers.rabbitmq_cluster import RabbitmqCluster

        return RabbitmqCluster(place)
    from tests.support.brokers.nats_cluster import NatsCluster, OldNatsCluster

    return OldNatsCluster(place) if name == OLD_NATS else NatsCluster(place)
