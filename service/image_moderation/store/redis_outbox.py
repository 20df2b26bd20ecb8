"""The outbox in Redis: decisions that were taken and are not yet published, in 64 partitions."""

from collections.abc import Callable, Sequence

from image_moderation.domain.decision import Backlog, Delivery, OutboxEntry, Publication
from image_moderation.redis_connection import Client
from image_moderation.store import lua
from image_moderation.store.arguments import ClaimDueArguments, DeliverArguments
from image_moderation.store.durability import NOTHING_MORE, Confirmation, Durability
from image_moderation.store.keys import Keys
from image_moderation.store.lua import Command
from image_moderation.store.redis_errors import errors
from image_moderation.store.replies import thaw

LEASE = 5_000
"""Milliseconds for which a decision belongs to its taker; then a sweep may publish it."""

DELIVERED_AT_ONCE = 500
"""Decisions that one script call publishes: other clients wait while it runs."""


class RedisOutbox:
    """See `outbox.ports.Store`; also an `outbox.ports.Sink`, where the broker is this same Redis."""

    def __init__(
        self,
        redis: Client,
        *,
        prefix: str,
        clock: Callable[[], int],
        lease: int = LEASE,
        decision_retention: int | None = None,
        durability: Durability = NOTHING_MORE,
    ) -> None:
        """Times in milliseconds. What is claimed is as safe as `durability` says. `deliver` trims a stream of
        entries older than `decision_retention`; None keeps them for ever.
        """
        self._redis = redis
        self._keys = Keys(prefix)
        self._confirmation = Confirmation(redis, durability, self._keys.confirmed)
        self._clock = clock
        self._lease = lease
        self._decision_retention = decision_retention

    async def claim_unpublished(self, limit: int = 100) -> Sequence[OutboxEntry]:
        """Take overdue decisions, at most `limit` of each partition. See `outbox.ports.Store`."""
        now = self._clock()
        arguments = ClaimDueArguments(now=now, next_try=now + self._lease, limit=limit)
        commands = [lua.CLAIM_DUE.command((outbox,), arguments) for outbox in self._keys.outboxes]
        async with errors():
            replies = await lua.run(self._redis, commands)
            claimed = [outbox for outbox, tokens in zip(self._keys.outboxes, replies, strict=True) if tokens]
            if claimed:  # nearly never: one more round trip
                await self._confirmation.confirm(claimed)
        return [OutboxEntry(thaw(token), token) for reply in replies for token in reply]

    async def settle(self, entries: Sequence[OutboxEntry]) -> Sequence[bool]:
        """Remove published decisions. See `outbox.ports.Store`."""
        commands: list[Command] = [("ZREM", self._outbox_of(entry), entry.token) for entry in entries]
        async with errors():
            return [bool(removed) for removed in await lua.run(self._redis, commands)]

    async def deliver(self, publications: Sequence[Publication]) -> Sequence[Delivery]:
        """Publish and settle in one step. See `outbox.ports.Sink`."""
        retention = self._decision_retention
        oldest_kept = None if retention is None else self._clock() - retention
        commands: list[Command] = []
        for start in range(0, len(publications), DELIVERED_AT_ONCE):
            keys: list[bytes] = []
            members: list[bytes] = []
            for publication in publications[start : start + DELIVERED_AT_ONCE]:
                keys += (self._outbox_of(publication.entry), publication.message.channel.encode())
                members += (publication.entry.token, publication.message.body)
            arguments = DeliverArguments(oldest_kept=oldest_kept, publications=tuple(members))
            commands.append(lua.DELIVER.command(keys, arguments))
        async with errors():
            answers = await lua.run(self._redis, commands)
        return [
            Delivery.SETTLED if settled else Delivery.ALREADY_SETTLED
            for answer in answers
            for settled in answer
        ]

    async def backlog(self) -> Backlog:
        """Return how many decisions wait, and since when the oldest. See `outbox.ports.Store`.

        `oldest` is the oldest of the first 100 decisions of each partition, in the order of their next try,
        which the sweep moves on. So it is exact while no partition holds more than 100; beyond that an older
        decision may wait behind them.

        Raises:
            StoreUnavailable: unknown now.
        """
        commands: list[Command] = [("ZCARD", outbox) for outbox in self._keys.outboxes]
        commands += [("ZRANGE", outbox, 0, 99) for outbox in self._keys.outboxes]
        async with errors():
            replies = await lua.run(self._redis, commands)
        counts, members = replies[: len(self._keys.outboxes)], replies[len(self._keys.outboxes) :]
        taken = [thaw(token).decided_at for tokens in members for token in tokens]
        return Backlog(sum(counts), min(taken, default=None))

    def _outbox_of(self, entry: OutboxEntry) -> bytes:
        return self._keys.outbox(entry.decision.image_id.encode())
