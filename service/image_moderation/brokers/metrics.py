"""Which of FastStream's own metrics are shown: those that this service moves."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import Collector

_NEVER_MOVE = frozenset(
    (
        # Bodies are parsed by this service and published by the broker's own client, past FastStream.
        "faststream_received_messages_size_bytes",
        "faststream_published_messages",
        "faststream_published_messages_duration_seconds",
        "faststream_published_messages_exceptions",
    )
)


class _Moving(Collector):
    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterable[Metric]:
        return (metric for metric in self._registry.collect() if metric.name not in _NEVER_MOVE)


def registry_for_faststream(shown: CollectorRegistry) -> CollectorRegistry:
    """Return a registry for FastStream's middleware, of which `shown` then shows what moves."""
    registry = CollectorRegistry()
    shown.register(_Moving(registry))
    return registry
