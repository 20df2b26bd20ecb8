"""The store and its outbox in memory: the pure rule and dictionaries, for tests.

Both obey the same contract suites as those in Redis. Reporters are their plain ids here, and nothing expires.
"""

from collections.abc import Callable, Sequence

from image_moderation.domain.case import Case
from image_moderation.domain.clock import HOUR
from image_moderation.domain.decision import Action, Applied, Backlog, Decision, OutboxEntry
from image_moderation.domain.policy import Policy
from image_moderation.domain.report import Event, Outcome, Tick
from image_moderation.domain.rules import apply
from image_moderation.domain.rules.decisions import Step


class MemoryOutbox:
    """See `outbox.ports.Store`."""

    def __init__(self, *, clock: Callable[[], int], lease: int = 5_000) -> None:
        self._clock = clock
        self._lease = lease
        self._entries: dict[bytes, tuple[int, OutboxEntry]] = {}
        """Each with when to try it next."""

    def add(self, decision: Decision, arrived: int | None, now: int) -> OutboxEntry:
        """Put a decision into the outbox; it belongs to the caller for one lease."""
        token = f"{decision.image_id}\n{decision.decided_at}".encode()
        entry = OutboxEntry(decision, token, arrived)
        self._entries[token] = (now + self._lease, entry)
        return entry

    def waiting(self) -> list[OutboxEntry]:
        """Return all that is not settled."""
        return [entry for _, entry in self._entries.values()]

    async def claim_unpublished(self, limit: int = 100) -> Sequence[OutboxEntry]:
        """Take overdue decisions, at most `limit`. See `outbox.ports.Store`."""
        now = self._clock()
        due = [entry for at, entry in self._entries.values() if at <= now][:limit]
        for entry in due:
            self._entries[entry.token] = (now + self._lease, entry)
        return due

    async def settle(self, entries: Sequence[OutboxEntry]) -> Sequence[bool]:
        """Remove published decisions. See `outbox.ports.Store`."""
        return [self._entries.pop(entry.token, None) is not None for entry in entries]

    async def backlog(self) -> Backlog:
        """Return how many decisions wait, and since when the oldest. See `outbox.ports.Store`."""
        taken = [entry.decision.decided_at for entry in self.waiting()]
        return Backlog(len(taken), min(taken, default=None))


class MemoryStore:
    """See `intake.ports.Store`; its decisions go to `outbox`."""

    def __init__(self, *, policy: Policy, clock: Callable[[], int], lease: int = 5_000) -> None:
        self.outbox = MemoryOutbox(clock=clock, lease=lease)
        self._policy = policy
        self._clock = clock
        self._lease = lease
        self._cases: dict[str, Case] = {}
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
                arrived = None if isinstance(event, Tick) else event.arrived
                entries.append(self.outbox.add(step.decision, arrived, now))
                if step.decision.action is Action.BLOCK and step.decision.automated:
                    self._blocks.append(now)
                    blocks_left = None if blocks_left is None else blocks_left - 1
        if retried:
            images = {event.image_id for event in events}
            entries += [
                entry
                for entry in self.outbox.waiting()
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

    async def claim_withheld_blocks(self, limit: int = 100) -> Sequence[Tick]:
        """Return the images whose withheld block is due, and leave each to this caller for one lease."""
        now = self._clock()
        due = [image for image, at in self._due.items() if at <= now][:limit]
        for image in due:
            self._due[image] = now + self._lease
        return [Tick(image) for image in due]

    async def case(self, image_id: str) -> tuple[Case, Sequence[Decision]]:
        """Return an image's case and its decisions not yet published."""
        waiting = [entry.decision for entry in self.outbox.waiting()]
        return self._cases.get(image_id, Case()), [one for one in waiting if one.image_id == image_id]
