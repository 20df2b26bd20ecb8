"""A site whose broker has several nodes, and what is measured of a fault there."""

from collections.abc import Sequence
from pathlib import Path

from image_moderation.embedded import EmbeddedRedis
from tests.benchmarks.model import Expected, Message
from tests.support.brokers.cluster import Cluster
from tests.support.faulty_site import RECOVERY, FaultySite
from tests.support.site import Site
from tests.support.waiting import wait_until


class ClusterSite(FaultySite):
    """The same without proxies: the nodes themselves break."""

    def __init__(self, broker: str, cluster: Cluster, store: EmbeddedRedis, place: Path) -> None:
        self.broker = broker
        self.cluster = cluster
        Site.__init__(self, cluster, f"{store.tcp_url}/1", place)
        self.told: list[float] = []
        self.recoveries: list[float] = []
        self._marks: list[Expected] = []

    def publish(self, messages: Sequence[Message]) -> None:
        """Again, until it is confirmed: while a leader is elected nobody confirms."""

        def published() -> bool:
            try:
                super(ClusterSite, self).publish(messages)
            except Exception:  # noqa: BLE001 - as in `Producer`
                self.sent_again += [letter for message in messages if (letter := message.letter)]
                return False
            return True

        wait_until(published, "it is published", RECOVERY)

    def __exit__(self, *exception: object) -> None:
        self.close()
