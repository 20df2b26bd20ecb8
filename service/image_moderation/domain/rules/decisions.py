"""Decisions: whether a changed case calls for one, and how it is taken."""

from collections import Counter
from dataclasses import dataclass, replace

from image_moderation.domain.case import Case
from image_moderation.domain.decision import Action, Decision, State, Trigger
from image_moderation.domain.policy import Policy
from image_moderation.domain.report import Outcome
from image_moderation.domain.rules.records import end_round


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


def decide(moment: Moment, case: Case, outcome: Outcome, action: Action, trigger: Trigger) -> Step:
    """Take a decision: number it, freeze the facts, and move the case's state on."""
    policy = moment.policy
    shadow = policy.shadow and action is not Action.UNBLOCK
    decided_at = max(moment.now, case.decided_at + 1)
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
        first_reported_at=case.first or None,
        last_reported_at=case.last or None,
        policy=policy.hash,
        traceparent=moment.traceparent,
    )
    if shadow and action is Action.BLOCK:
        return Step(replace(case, shadow_blocked=True), outcome, decision, shadow=True)
    if shadow:
        return Step(replace(case, shadow_asked_at=decided_at), outcome, decision, shadow=True)
    case = replace(case, revision=decision.revision, decided_at=decided_at, trigger=trigger)
    if action is Action.REQUEST_REVIEW:
        return Step(replace(case, asked_at=decided_at), outcome, decision)
    # A block closes the round: its reporters are dropped, and none of its reports counts again. A blocked
    # case, which is what an unblocking finds, has none.
    closed = replace(end_round(case, max(case.floor, case.last)), records={}, state=decision.state)
    return Step(closed, outcome, decision)


def ask(moment: Moment, case: Case, outcome: Outcome, trigger: Trigger) -> Step:
    """Request a review, once a round; if the block only waits for it, say until when."""
    step = decide(moment, case, outcome, Action.REQUEST_REVIEW, trigger)
    policy = moment.policy
    if not policy.review_grace or case.score < policy.block_threshold:
        return step
    asked_at = step.case.shadow_asked_at if policy.shadow else step.case.asked_at
    return replace(step, due=asked_at + policy.review_grace)


def evaluate(moment: Moment, case: Case, outcome: Outcome, *, urgent: bool = False) -> Step:
    """Decide what the changed case calls for: nothing, a review, a block, or a block that waits."""
    policy = moment.policy
    asked_at = case.shadow_asked_at if policy.shadow else case.asked_at
    if policy.shadow and case.shadow_blocked:
        return Step(case, outcome)
    if case.score < policy.block_threshold:
        if asked_at:
            return Step(case, outcome)
        if urgent:
            return ask(moment, case, outcome, Trigger.URGENT_REASON)
        if policy.review_threshold and case.score >= policy.review_threshold:
            return ask(moment, case, outcome, Trigger.REVIEW_THRESHOLD)
        return Step(case, outcome)
    if policy.review_grace:
        if not asked_at:
            trigger = Trigger.URGENT_REASON if urgent else Trigger.REVIEW_THRESHOLD
            return ask(moment, case, outcome, trigger)
        if moment.now < asked_at + policy.review_grace:
            return Step(case, outcome, due=asked_at + policy.review_grace)
    if moment.blocks_left is not None and moment.blocks_left <= 0:
        return Step(case, outcome) if asked_at else ask(moment, case, outcome, Trigger.BREAKER)
    return decide(moment, case, outcome, Action.BLOCK, Trigger.THRESHOLD)
