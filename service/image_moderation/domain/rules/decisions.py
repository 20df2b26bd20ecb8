"""Decisions: how each is taken, and what it does to the case."""

from collections import Counter
from dataclasses import dataclass, replace

from image_moderation.domain.case import Case, ReviewRequest
from image_moderation.domain.decision import Action, Decision, State, Trigger
from image_moderation.domain.policy import Policy
from image_moderation.domain.report import Outcome
from image_moderation.domain.rules.records import slide


@dataclass(frozen=True, slots=True)
class Step:
    """The result of one event: the case after it, its outcome, and the decision if it caused one."""

    case: Case
    outcome: Outcome
    decision: Decision | None = None
    shadow: bool = False
    """True for a decision of shadow mode, which is never published."""
    due: int | None = None
    """When to look at the case again, in milliseconds, for a block that is withheld until then."""


@dataclass(frozen=True, slots=True)
class Moment:
    """The facts beside the case that every rule needs."""

    policy: Policy
    image_id: str
    now: int
    blocks_left: int | None
    """Automatic blocks that the breaker still lets pass; None without a breaker."""
    traceparent: str | None

    def decides_at(self, case: Case) -> int:
        """When a decision about the case is taken now; later than the one before, whatever the clock says."""
        return max(self.now, case.decided_at + 1)


def decide(moment: Moment, case: Case, outcome: Outcome, action: Action, trigger: Trigger) -> Step:
    """Take a decision: freeze the facts and number it. Its caller moves the case's state on."""
    policy = moment.policy
    shadow = policy.shadow and action is not Action.UNBLOCK
    decided_at = moment.decides_at(case)
    first, last = case.reported or (None, None)
    decision = Decision(
        image_id=moment.image_id,
        action=action,
        revision=case.revision + (0 if shadow else 1),
        decided_at=decided_at,
        state=State.BLOCKED if action is Action.BLOCK else State.OPEN,
        trigger=trigger,
        automated=trigger is not Trigger.MODERATOR,
        distinct_reporters=case.score,
        threshold=policy.block_threshold,
        reasons=dict(Counter(record.reason for record in case.records.values() if record.reason is not None)),
        first_reported_at=first,
        last_reported_at=last,
        policy=policy.hash,
        traceparent=moment.traceparent,
    )
    if not shadow:
        case = replace(
            case, revision=decision.revision, decided_at=decided_at, trigger=trigger, facts=decision.facts
        )
    return Step(case, outcome, decision, shadow)


def block(moment: Moment, case: Case, outcome: Outcome, trigger: Trigger) -> Step:
    """Block the image. None of its reports counts again; retractions that are newer than these stay."""
    step = decide(moment, case, outcome, Action.BLOCK, trigger)
    if step.shadow:
        return replace(step, case=replace(step.case, shadow_blocked=True, withheld=False))
    closed = slide(step.case, step.case.last)
    return replace(
        step,
        case=replace(
            closed,
            state=State.BLOCKED,
            review=None,
            shadow_review=None,
            shadow_blocked=False,
            withheld=False,
        ),
    )


def requested(policy: Policy, case: Case) -> ReviewRequest | None:
    """Return the unanswered request for a review, of shadow mode or of live mode."""
    return case.shadow_review if policy.shadow else case.review


def ask(moment: Moment, case: Case, outcome: Outcome, trigger: Trigger) -> Step:
    """Request a review."""
    step = decide(moment, case, outcome, Action.REQUEST_REVIEW, trigger)
    earlier, (_, newest) = requested(moment.policy, case), case.reported or (0, 0)
    at = earlier.at if earlier else moment.decides_at(case)
    review = ReviewRequest(at, newest, by_breaker=trigger is Trigger.BREAKER)
    if step.shadow:
        return replace(step, case=replace(step.case, shadow_review=review))
    return replace(step, case=replace(step.case, review=review))


def withhold(step: Step, due: int) -> Step:
    """Withhold the block of a step's case until `due`, when a tick evaluates it again."""
    return replace(step, case=replace(step.case, withheld=True), due=due)
