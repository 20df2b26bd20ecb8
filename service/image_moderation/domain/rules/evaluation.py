"""What a counted report or a deadline calls for."""

from dataclasses import replace

from image_moderation.domain.case import Case
from image_moderation.domain.decision import Trigger
from image_moderation.domain.report import Outcome
from image_moderation.domain.rules.decisions import Moment, Step, ask, block, requested, withhold

BREAKER_RETRY = 10_000
"""Milliseconds after which a block that the breaker withholds is looked at again."""


def evaluate(moment: Moment, case: Case, outcome: Outcome, *, urgent: bool = False) -> Step:
    """Decide what a counted report or a deadline calls for: nothing, a review, a block, or one that waits."""
    policy, review = moment.policy, requested(moment.policy, case)
    if policy.shadow and case.shadow_blocked:
        return Step(replace(case, withheld=False), outcome)
    if case.score < policy.block_threshold:
        if review is None and urgent:
            return ask(moment, case, outcome, Trigger.URGENT_REASON)
        if review is None and policy.review_threshold and case.score >= policy.review_threshold:
            return ask(moment, case, outcome, Trigger.REVIEW_THRESHOLD)
        return Step(case, outcome)
    step = Step(case, outcome)
    if policy.review_grace:
        if review is None and (urgent or policy.review_threshold):
            trigger = Trigger.URGENT_REASON if urgent else Trigger.REVIEW_THRESHOLD
            step = ask(moment, case, outcome, trigger)
            review = requested(policy, step.case)
        if review is not None and moment.now < review.at + policy.review_grace:
            return withhold(step, review.at + policy.review_grace)
    if moment.blocks_left is not None and moment.blocks_left <= 0:
        if review is None or not review.by_breaker:
            step = ask(moment, case, outcome, Trigger.BREAKER)
        return withhold(step, moment.now + BREAKER_RETRY)
    return block(moment, case, outcome, Trigger.THRESHOLD)
