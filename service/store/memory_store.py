"""The store in memory, for tests and for replaying recorded events: the pure policy and a dictionary.

Obeys the same contract suite as the store in Redis. Reporters are their plain ids here.
"""

from collections.abc import Callable, Sequence

from service.domain.case import Case
from service.domain.decision import Applied, Decision, OutboxEntry
from service.domain.policy import Policy, apply
from service.domain.report import Outcome, Report


class MemoryStore:
    """Cases and an outbox in this process; nothing expires."""

    def __init__(self, *, policy: Policy, clock: Callable[[], int], lease: int = 5_000) -> None:
        self._policy = policy
        self._clock = clock
        self._lease = lease
        self._cases: dict[str, Case] = {}
        self._outbox: dict[bytes, tuple[int, OutboxEntry]] = {}

    async def apply(self, reports: Sequence[Report], *, retried: bool = False) -> Applied:
        """Apply a batch. See `intake.ports.Store`."""
        now = self._clock()
        outcomes: list[Outcome] = []
        entries: list[OutboxEntry] = []
        for report in reports:
            step = apply(self._policy, self._cases.get(report.image_id, Case()), report, now)
            self._cases[report.image_id] = step.case
            outcomes.append(step.outcome)
            if step.decision is not None:
                token = f"{report.image_id}\n{step.decision.decided_at}".encode()
                entry = OutboxEntry(step.decision, token, report.arrived)
                self._outbox[token] = (now + self._lease, entry)
                entries.append(entry)
        if retried:
            images = {report.image_id for report in reports}
            entries += [
                entry
                for _, entry in self._outbox.values()
                if entry.decision.image_id in images and entry not in entries
            ]
            entries.sort(key=lambda entry: entry.decision.decided_at)
        return Applied(outcomes, entries)

    async def claim_due(self, limit: int = 100) -> Sequence[OutboxEntry]:
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
