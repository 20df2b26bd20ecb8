"""How the outbox treats the answers of a broker and of its store."""

from collections.abc import Sequence

from image_moderation.domain.decision import Backlog, Delivery, OutboxEntry, Publication
from image_moderation.domain.policy import Policy
from image_moderation.events.render import decision_message
from image_moderation.outbox.outbox import BrokerSink, Outbox
from image_moderation.telemetry.metrics import Metrics
from image_moderation.telemetry.tracing import Tracing
from tests.support.decisions import DECISION, UNBLOCKED_DECISION

NOW = DECISION.decided_at + 50
BLOCK, UNBLOCK = OutboxEntry(DECISION, b"block"), OutboxEntry(UNBLOCKED_DECISION, b"unblock")


class Broker:
    """Has nobody to give a block to."""

    async def publish(self, publications: Sequence[Publication]) -> Sequence[bool]:
        return [publication.message.channel != "image.blocked" for publication in publications]


class Store:
    """Settles each decision once."""

    def __init__(self) -> None:
        self.settled: list[OutboxEntry] = []

    async def claim_unpublished(self) -> Sequence[OutboxEntry]:
        return []

    async def backlog(self) -> Backlog:
        return Backlog(3, NOW)

    async def settle(self, entries: Sequence[OutboxEntry]) -> Sequence[bool]:
        first = [entry not in self.settled for entry in entries]
        self.settled += [entry for entry in entries if entry not in self.settled]
        return first


async def test_what_the_routing_refuses_stays_is_counted_and_holds_nothing_up() -> None:
    store, metrics = Store(), Metrics(version="0", policy=Policy())
    sink = BrokerSink(Broker(), store)
    outbox = Outbox(sink=sink, store=store, metrics=metrics, tracing=Tracing(), clock=lambda: NOW)
    assert not outbox.refused_since(NOW)
    await outbox.publish([BLOCK, UNBLOCK])
    assert store.settled == [UNBLOCK]
    assert metrics.registry.get_sample_value("moderation_unroutable_total") == 1
    assert outbox.refused_since(NOW)
    await outbox.publish([BLOCK])
    assert store.settled == [UNBLOCK]


async def test_each_delivery_says_what_became_of_it() -> None:
    sink = BrokerSink(Broker(), Store())
    block, unblock = (Publication(entry, decision_message(entry.decision)) for entry in (BLOCK, UNBLOCK))
    assert list(await sink.deliver([block, unblock])) == [Delivery.UNROUTABLE, Delivery.SETTLED]
    assert list(await sink.deliver([unblock, block])) == [Delivery.ALREADY_SETTLED, Delivery.UNROUTABLE]
    assert list(await sink.deliver([])) == []


async def test_a_decision_that_another_replica_settled_is_not_counted_again() -> None:
    store, metrics = Store(), Metrics(version="0", policy=Policy())
    sink = BrokerSink(Broker(), store)
    outbox = Outbox(sink=sink, store=store, metrics=metrics, tracing=Tracing(), clock=lambda: NOW)
    labels = {"decision": "unblock", "trigger": "moderator", "mode": "live"}
    for _ in range(2):
        await outbox.publish([UNBLOCK])
        assert metrics.registry.get_sample_value("moderation_decisions_total", labels) == 1
