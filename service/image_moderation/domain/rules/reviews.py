"""Reviews: which verdict stands, and what it does to the case."""

from dataclasses import replace

from image_moderation.domain.case import Case
from image_moderation.domain.decision import Action, State, Trigger
from image_moderation.domain.report import Outcome, Review, Verdict
from image_moderation.domain.rules.decisions import Moment, Step, block, decide
from image_moderation.domain.rules.records import slide


def apply_review(moment: Moment, case: Case, event: Review) -> Step:
    """The newest verdict by time wins; at equal time `upheld` does."""
    shadow, is_open = moment.policy.shadow, case.state is State.OPEN
    if event.time == case.verdict_time and event.verdict is case.verdict:
        if shadow or event.verdict is Verdict.CLEARED or not is_open:
            return Step(case, Outcome.DUPLICATE)
        # `upheld` of an open case was given in shadow mode: now it is applied.
    elif event.time < case.verdict_time or (
        event.time == case.verdict_time and event.verdict is Verdict.CLEARED
    ):
        return Step(case, Outcome.STALE)
    case = replace(
        case,
        verdict=event.verdict,
        verdict_time=event.time,
        withheld=False,
        review=None,
        shadow_review=None,
    )
    if event.verdict is Verdict.UPHELD:
        if not is_open or (shadow and case.shadow_blocked):
            return Step(case, Outcome.UPHELD)
        return block(moment, case, Outcome.UPHELD, Trigger.MODERATOR)
    opened = slide(case, event.time + moment.policy.immunity)
    opened = replace(opened, state=State.OPEN, shadow_blocked=False)
    if is_open:
        return Step(opened, Outcome.CLEARED)
    # Shadow mode included: a decision that was published live is taken back.
    return decide(moment, opened, Outcome.CLEARED, Action.UNBLOCK, Trigger.MODERATOR)
