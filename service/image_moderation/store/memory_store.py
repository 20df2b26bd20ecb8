"""The store in memory, for tests and for replaying recorded events: the pure policy and a dictionary.

Obeys the same contract suite as the store in Redis. Reporters are their plain ids here.
"""

from collections.abc import Callable, Sequence

from image_moderation.domain.case import Case
from image_moderation.domain.decision import Action, Applied, Decision, OutboxEntry
from image_moderation.domain.policy import Policy, Step, apply
from image_moderation.domain.report import Event, Outcome, Tick

HOUR = 3_600_000


class MemoryStore:
    """Cases and an outbox in this process; nothing expires."""

    def __init__(self, *, policy: Policy, clock: Callable[[], int], lease: int = 5_000) -> None:
        self._policy = policy
        self._clock = clock
        self._lease = lease
        self._cases: dict[str, Case] = {}
        self._outbox: dict[bytes, tuple[int, OutboxEntry]] = {}
        self._due: dict[str, int] = {}
        self._blocks: list[int] = []

    async def apply(self, events: Sequence[Event], *, retried: bool = False) -> Applied:
        """Apply a batch. See `intake.ports.Store`."""
        now = self._clock()
        outcomes: list[Outcome] = []
        entries: list[OutboxEntry] = []
        shadow: list[Decision] = []
        blocks_left = self._blocks_left(now)
        for event in events:
            case = self._cases.get(event.image_id, Case())
            step = apply(self._policy, case, event, now, blocks_left)
            self._cases[event.image_id] = step.case
            outcomes.append(step.outcome)
            self._note_due(event, step)
            if step.decision is not None and step.shadow:
                shadow.append(step.decision)
            elif step.decision is not None:
                entries.append(self._take(event, step.decision, now))
                if step.decision.action is Action.BLOCK and step.decision.automated:
                    self._blocks.append(now)
                    blocks_left = None if blocks_left is None else blocks_left - 1
        if retried:
            images = {event.image_id for event in events}
            entries += [
                entry
                for _, entry in self._outbox.values()
                if entry.decision.image_id in images and entry not in entries
            ]
            entries.sort(key=lambda entry: entry.decision.decided_at)
        return Applied(outcomes, entries, tuple(shadow))

    def _blocks_left(self, now: int) -> int | None:
        if not self._policy.max_blocks_per_hour:
            return None
        self._blocks = [at for at in self._blocks if at > now - HOUR]
        return max(0, self._policy.max_blocks_per_hour - len(self._blocks))

    def _note_due(self, event: Event, step: Step) -> None:
        if isinstance(event, Tick):
            self._due.pop(event.image_id, None)
        if step.due is not None:
            self._due[event.image_id] = step.due

    def _take(self, event: Event, decision: Decision, now: int) -> OutboxEntry:
        token = f"{decision.image_id}\n{decision.decided_at}".encode()
        entry = OutboxEntry(decision, token, None if isinstance(event, Tick) else event.arrived)
        self._outbox[token] = (now + self._lease, entry)
        return entry

    async def claim_withheld_blocks(self, limit: int = 100) -> Sequence[Tick]:
        """Return the images whose withheld block is due, and leave each to this caller for a while."""
        now = self._clock()
        due = [image for image, at in self._due.items() if at <= now][:limit]
        for image in due:
            self._due[image] = now + self._lease
        return [Tick(image) for image in due]

    async def claim_unpublished(self, limit: int = 100) -> Sequence[OutboxEntry]:
        """Take decisions that are overdue. See `outbox.ports.Store`."""
        now = self._clock()
        due = [entry for at, entry in self._outbox.values() if at <= now][:limit]
        for entry in due:
            self._outbox[entry.token] = (now + self._lease, entry)
        return due

    async def settle(self, entries: Sequence[OutboxEntry]) -> Sequence[bool]:
        """Remove published decisions. See `outbox.ports.Store`."""
        return [self._outbox.pop(entry.token, None) is not None for entry in entries]

    async def outbox_size(self) -> tuple[int, int | None]:
        """Return `(decisions not yet published, when the oldest of them was taken, if any)`."""
        taken = [entry.decision.decided_at for _, entry in self._outbox.values()]
        return len(taken), min(taken, default=None)

    async def case(self, image_id: str) -> tuple[Case, Sequence[Decision]]:
        """Return an image's case and its decisions not yet published."""
        waiting = [entry.decision for _, entry in self._outbox.values()]
        return self._cases.get(image_id, Case()), [one for one in waiting if one.image_id == image_id]
