"""Reviews: which verdict stands, and what it does to the case."""

from dataclasses import replace

from image_moderation.domain.case import Case
from image_moderation.domain.decision import Action, State, Trigger
from image_moderation.domain.report import Outcome, Review, Verdict
from image_moderation.domain.rules.decisions import Moment, Step, decide, evaluate
from image_moderation.domain.rules.records import distinct_groups, end_round


def clear(case: Case, floor: int) -> Case:
    """Close the open round; reports newer than the floor, if there are any, begin a new one."""
    ended = end_round(case, floor)
    times = [record.time for record in ended.records.values() if record.stands]
    if not times:
        return ended
    first, last = min(times), max(times)
    if case.first > floor:
        first, last = case.first, case.last
    return replace(ended, first=first, last=last, score=distinct_groups(ended.records), reasons=case.reasons)


def apply_review(moment: Moment, case: Case, event: Review) -> Step:
    """The newest verdict by time wins; at equal time `upheld` does."""
    if event.time == case.verdict_time and event.verdict is case.verdict:
        return Step(case, Outcome.DUPLICATE)
    if event.time < case.verdict_time or (
        event.time == case.verdict_time and event.verdict is Verdict.CLEARED
    ):
        return Step(case, Outcome.STALE)
    case = replace(case, verdict=event.verdict, verdict_time=event.time)
    if event.verdict is Verdict.UPHELD:
        if case.state is State.BLOCKED:
            return Step(case, Outcome.UPHELD)
        return decide(moment, case, Outcome.UPHELD, Action.BLOCK, Trigger.MODERATOR)
    floor = max(case.floor, event.time + moment.policy.immunity)
    if case.state is State.BLOCKED:
        opened = replace(case, floor=floor)
        # Shadow mode included: a decision that was published live is taken back.
        return decide(moment, opened, Outcome.CLEARED, Action.UNBLOCK, Trigger.MODERATOR)
    return evaluate(moment, clear(case, floor), Outcome.CLEARED)
