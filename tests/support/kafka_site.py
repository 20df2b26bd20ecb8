"""A site on a Kafka cluster of three nodes, which keep three copies of everything, and what befalls it."""

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from confluent_kafka.admin import (  # type: ignore[attr-defined]  # exported without saying so
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
)

from image_moderation.embedded import EmbeddedRedis
from tests.support.brokers.kafka.harness import RealHarness
from tests.support.faulty_site import FaultySite
from tests.support.site import Site

SECONDS = 20


class KafkaSite(FaultySite):
    """Nothing stands between the service and the nodes: these are killed and frozen themselves."""

    def __init__(self, harness: RealHarness, store: EmbeddedRedis, place: Path) -> None:
        Site.__init__(self, harness, f"{store.tcp_url}/1", place)  # without the proxies of its base
        self.broker = f"kafka, {len(harness.server.nodes)} nodes"
        self.cluster = harness.server
        self.kafka = harness
        self._stack = ExitStack()
        self.told, self.recoveries, self._marks = [], [], []

    def __exit__(self, *exception: object) -> None:
        self.close()

    def set_config(self, channels: Iterable[str], name: str, value: str) -> None:
        """Set an option of topics."""
        option = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        resources = [
            ConfigResource(ConfigResource.Type.TOPIC, channel, incremental_configs=[option])
            for channel in channels
        ]
        for done in self.kafka.admin.incremental_alter_configs(resources).values():
            done.result(SECONDS)

    def leader(self, channel: str, partition: int = 0) -> int:
        """Return the number of the node that leads a partition, counted from 0."""
        topic = self.kafka.admin.list_topics(channel, timeout=SECONDS).topics[channel]
        return int(topic.partitions[partition].leader) - 1

    def in_step(self) -> bool:
        """Whether every copy of every partition is in step with its leader."""
        topics = self.kafka.admin.list_topics(timeout=SECONDS).topics.values()
        partitions = [one for topic in topics for one in topic.partitions.values()]
        return all(len(one.isrs) == len(one.replicas) for one in partitions)
