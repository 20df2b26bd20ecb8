"""The rule: what one event does to its case, as a pure function.

This is the oracle. `store/scripts/apply/` does the same on the packed case, in parts of the same names with
functions of the same names in the same order; property tests hold the two together. Where they differ, this
is right.
"""

from image_moderation.domain.case import Case
from image_moderation.domain.policy import Policy
from image_moderation.domain.report import Event, Outcome, Review, Tick
from image_moderation.domain.rules.decisions import Moment, Step
from image_moderation.domain.rules.evaluation import evaluate
from image_moderation.domain.rules.records import slide, window_start
from image_moderation.domain.rules.reports import apply_report, still_waiting
from image_moderation.domain.rules.reviews import apply_review


def apply(policy: Policy, case: Case, event: Event, now: int, blocks_left: int | None = None) -> Step:
    """Return what `event` does to `case` at the service's time `now` (milliseconds).

    Pure and idempotent: an event that was applied before changes nothing. `blocks_left` is how many automatic
    blocks the breaker still lets pass, None without one.
    """
    moment = Moment(policy, event.image_id, now, blocks_left, event.traceparent)
    if isinstance(event, Review):
        return apply_review(moment, case, event)
    if isinstance(event, Tick):
        if not case.withheld:
            return Step(case, Outcome.TICKED)
        settled = slide(case, window_start(policy, case, case.last))  # where the window was shortened
        return evaluate(moment, still_waiting(policy, settled), Outcome.TICKED)
    return apply_report(moment, case, event)
