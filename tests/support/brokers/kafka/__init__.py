"""Kafka: the real one where `make servers` could fetch it, else librdkafka's mock."""

from pathlib import Path

from tests.support.brokers.kafka.harness import MockHarness, RealHarness
from tests.support.brokers.kafka.server import fetched


def make_harness(place: Path, *, mock: bool = False) -> RealHarness | MockHarness:
    """Start it with its files in the folder `place`; `mock` wants the mock in any case."""
    return RealHarness(place) if fetched() and not mock else MockHarness()
