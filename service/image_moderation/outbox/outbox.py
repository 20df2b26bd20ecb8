"""Publishes decisions and settles them; sweeps up those that a crash left."""

from collections.abc import Callable, Sequence

import structlog

from image_moderation.domain.decision import Backlog, Delivery, OutboxEntry, Publication
from image_moderation.events.render import decision_message
from image_moderation.outbox.ports import Metrics, Publisher, Sink, Store, Tracing

log = structlog.get_logger(__name__)


class Outbox:
    """Brings decisions to the broker: at once, or by a sweep."""

    def __init__(
        self, *, sink: Sink, store: Store, metrics: Metrics, tracing: Tracing, clock: Callable[[], int]
    ) -> None:
        self._sink = sink
        self._store = store
        self._metrics = metrics
        self._tracing = tracing
        self._clock = clock
        self._refused_at = 0
        # Bound once: resolving the module's logger anew costs as much as a line itself.
        self._log = log.bind()

    async def publish(self, entries: Sequence[OutboxEntry]) -> None:
        """Publish and settle, in the given order. See `intake.ports.Outbox`."""
        publications = [Publication(entry, decision_message(entry.decision)) for entry in entries]
        deliveries = await self._sink.deliver(publications)
        now = self._clock()
        for publication, delivery in zip(publications, deliveries, strict=True):
            if delivery is Delivery.UNROUTABLE:
                self._unroutable(publication, now)
            elif delivery is Delivery.SETTLED:
                self._settled(publication, now)

    def refused_since(self, time: int) -> bool:
        """Return whether the broker's routing has refused a decision since `time` (milliseconds)."""
        return self._refused_at >= time

    def _unroutable(self, publication: Publication, now: int) -> None:
        self._refused_at = now
        self._metrics.unroutable()
        self._log.warning(
            "unroutable",
            channel=publication.message.channel,
            event_id=publication.message.event_id,
            hint="bind a queue to this channel; the decision stays in the outbox and is tried again",
        )

    def _settled(self, publication: Publication, now: int) -> None:
        decision = publication.entry.decision
        since = publication.entry.arrived if publication.entry.arrived is not None else decision.decided_at
        self._metrics.decision(decision.action, decision.trigger)
        self._metrics.decision_latency(max(0, now - since) / 1000)
        self._tracing.decision(decision, publication.message.event_id, since, now)
        self._log.info(
            "decision",
            action=decision.action.value,  # plain text is written much faster
            image_id=decision.image_id,
            revision=decision.revision,
            trigger=decision.trigger.value,
            distinct_reporters=decision.distinct_reporters,
            event_id=publication.message.event_id,
        )

    async def backlog(self) -> Backlog:
        """Return how many decisions wait, and since when the oldest. See `Store.backlog`."""
        return await self._store.backlog()

    async def sweep(self) -> int:
        """Publish overdue decisions, which a crash or a lost reply left behind; return how many.

        Raises:
            Unavailable: they stay in the outbox.
        """
        entries = await self._store.claim_unpublished()
        if entries:
            log.info("swept", decisions=len(entries))
            await self.publish(sorted(entries, key=lambda entry: entry.decision.decided_at))
        return len(entries)


class BrokerSink:
    """Publish, then settle: for a broker that is not the store. A crash in between publishes again."""

    def __init__(self, publisher: Publisher, store: Store) -> None:
        self._publisher = publisher
        self._store = store

    async def deliver(self, publications: Sequence[Publication]) -> Sequence[Delivery]:
        """See `Sink.deliver`."""
        published = await self._publisher.publish(publications)
        routed = [one.entry for one, taken in zip(publications, published, strict=True) if taken]
        settled = iter(await self._store.settle(routed) if routed else ())
        return [_delivery(next(settled)) if taken else Delivery.UNROUTABLE for taken in published]


def _delivery(settled: bool) -> Delivery:
    return Delivery.SETTLED if settled else Delivery.ALREADY_SETTLED
