"""An independent model of the site: what the policy makes of the events, in the order of the store."""

from dataclasses import dataclass, field

from image_moderation.domain.case import Case
from image_moderation.domain.clock import HOUR
from image_moderation.domain.decision import Action, Decision
from image_moderation.domain.policy import Policy
from image_moderation.domain.report import Event, Outcome, Report, Review, Tick
from image_moderation.domain.rules import apply
from image_moderation.domain.rules.decisions import Step
from tests.support.declarative import ledger


@dataclass(slots=True)
class Taken:
    """What the policy makes of some events."""

    outcomes: list[Outcome] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    shadow: list[Decision] = field(default_factory=list)
    unfounded: str = ""
    """How a decision differs from the declarative definition."""


class Model:
    """The cases, by the pure policy, one event after another."""

    def __init__(self, policy: Policy) -> None:
        """`policy` is the first; it may change."""
        self.cases: dict[str, Case] = {}
        self.due: dict[str, int] = {}
        """When a withheld block is to be looked at again, by image."""
        self.ticking: set[str] = set()
        """Images that a replica has taken to look at again, and has not yet."""
        self._first = policy
        self._changed = False
        self._blocks: list[int] = []
        self._blocked: set[str] = set()
        """Images that were blocked once."""
        self._history: dict[str, list[Report]] = {}
        """All reports of each image, as they were applied."""

    def apply(self, events: list[Event], now: int, policy: Policy) -> Taken:
        """Apply events in one step, at the time and by the policy of the replica that sends them."""
        taken = Taken()
        self._changed = self._changed or policy != self._first
        left = self._blocks_left(now, policy)
        for event in events:
            step = apply(policy, self.cases.get(event.image_id, Case()), event, now, left)
            taken.outcomes.append(step.outcome)
            self._remember(event, step)
            decision = step.decision
            if decision is None:
                continue
            (taken.shadow if step.shadow else taken.decisions).append(decision)
            if decision.action is Action.BLOCK and not step.shadow:
                taken.unfounded = taken.unfounded or self._unfounded(decision)
                if decision.automated:
                    self._blocks.append(now)
                    left = None if left is None else left - 1
        return taken

    def _blocks_left(self, now: int, policy: Policy) -> int | None:
        if not policy.max_blocks_per_hour:
            return None
        self._blocks = [at for at in self._blocks if at > now - HOUR]
        return max(0, policy.max_blocks_per_hour - len(self._blocks))

    def _remember(self, event: Event, step: Step) -> None:
        image = event.image_id
        self.cases[image] = step.case
        if isinstance(event, Tick):
            self.due.pop(image, None)
            self.ticking.discard(image)
        elif isinstance(event, Review):
            self._blocked.add(image)  # what a verdict has touched is another matter
        else:
            self._history.setdefault(image, []).append(event)
        if step.due is not None:
            self.due[image] = step.due

    def _unfounded(self, decision: Decision) -> str:
        """Compare an image's first block, where nothing withholds it, with the declarative definition."""
        image, policy = decision.image_id, self._first
        waits = policy.review_grace or policy.max_blocks_per_hour
        if image in self._blocked or waits or self._changed:
            return ""
        self._blocked.add(image)
        counted = ledger(self._history[image], policy.report_window)
        facts = decision.distinct_reporters, dict(decision.reasons)
        if facts == (counted.score, counted.reasons) and counted.score >= policy.block_threshold:
            return ""
        return f"{decision} rests on {counted.score} reporters: {counted.reasons}"
