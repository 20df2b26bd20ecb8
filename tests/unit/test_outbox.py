"""What the outbox makes of a broker's answers."""

from collections.abc import Sequence

from image_moderation.domain.decision import OutboxEntry, Publication
from image_moderation.outbox.outbox import BrokerSink, Outbox
from image_moderation.telemetry.metrics import Metrics
from image_moderation.telemetry.tracing import Tracing
from tests.support.decisions import DECISION, UNBLOCKED_DECISION

NOW = DECISION.decided_at + 50
BLOCK, UNBLOCK = OutboxEntry(DECISION, b"block"), OutboxEntry(UNBLOCKED_DECISION, b"unblock")


class Broker:
    """Knows nobody to give a block to."""

    async def publish(self, publications: Sequence[Publication]) -> Sequence[bool]:
        return [publication.message.channel != "image.blocked" for publication in publications]


class Store:
    """Says what was settled."""

    def __init__(self) -> None:
        self.settled: list[OutboxEntry] = []

    async def claim_unpublished(self) -> Sequence[OutboxEntry]:
        return []

    async def settle(self, entries: Sequence[OutboxEntry]) -> Sequence[bool]:
        self.settled += entries
        return [True] * len(entries)


async def test_what_the_routing_refuses_stays_is_counted_and_holds_nothing_up() -> None:
    store, metrics = Store(), Metrics(version="0", block_threshold=5)
    sink = BrokerSink(Broker(), store)
    outbox = Outbox(sink=sink, store=store, metrics=metrics, tracing=Tracing(), clock=lambda: NOW)
    assert not outbox.refused_since(NOW)
    await outbox.publish([BLOCK, UNBLOCK])
    assert store.settled == [UNBLOCK]
    assert metrics.registry.get_sample_value("moderation_unroutable_total") == 1
    assert outbox.refused_since(NOW)
    await outbox.publish([BLOCK])
    assert store.settled == [UNBLOCK]
