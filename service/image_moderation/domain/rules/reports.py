"""Reports and retractions: which of a reporter's events stands, whether it fits, and its record."""

from dataclasses import replace

from image_moderation.domain.case import Case, Record
from image_moderation.domain.decision import State, Trigger
from image_moderation.domain.policy import Policy
from image_moderation.domain.report import Outcome, Report
from image_moderation.domain.rules.decisions import Moment, Step, ask, requested
from image_moderation.domain.rules.evaluation import evaluate
from image_moderation.domain.rules.records import distinct_groups, slide, window_start, with_record, with_room


def replaces(event: Report, standing: Record) -> bool:
    """The newest stands; at equal time a retraction beats a report, and the first of two alike stays."""
    if event.time != standing.time:
        return event.time > standing.time
    return event.retracted and standing.stands


def costs_a_reporter(case: Case, event: Report, before: int, after: int) -> bool:
    """Whether a floor that rises from `before` to `after` drops somebody else who counts."""
    return any(
        record.stands and before < record.time <= after
        for who, record in case.records.items()
        if who != event.reporter_id
    )


def still_waiting(policy: Policy, case: Case) -> Case:
    """A block no longer waits once the score is below the threshold."""
    if case.withheld and case.score < policy.block_threshold:
        return replace(case, withheld=False)
    return case


def superseded(policy: Policy, case: Case, event: Report, standing: Record, floor: int) -> Step:
    """Pass over an event that the same reporter's newer one replaces: it changes no record."""
    if event.retracted:
        return Step(case, Outcome.DUPLICATE if event.time == standing.time else Outcome.STALE)
    # It is a report of the image all the same, so the window reaches to it in whatever order the two arrive;
    # else a repetition could still move the window.
    moved = slide(replace(case, last=max(case.last, event.time)), floor)
    outcome = Outcome.DUPLICATE if standing.stands else Outcome.RETRACTED_BEFORE
    return Step(still_waiting(policy, moved), outcome)


def enter(moment: Moment, case: Case, event: Report) -> Step:
    """Enter a report that fits the window, or a retraction, and evaluate the case if the report counts."""
    policy = moment.policy
    records = with_room(policy, case, event.reporter_id)
    if records is None:
        return Step(case, Outcome.HELD)
    if records is not case.records:
        case = replace(case, records=records)
    reason, reasons = (None, case.reasons) if event.retracted else case.name_reason(event.reason)
    record = Record(event.time, reason, None if event.retracted else event.group)
    records = with_record(records, event.reporter_id, record)
    score = distinct_groups(records)
    counted = score > case.score
    case = replace(case, score=score, reasons=reasons, records=records)
    case = still_waiting(policy, case)
    if event.retracted:
        return Step(case, Outcome.RETRACTED)
    urgent = event.reason in policy.urgent_reasons
    if counted:
        return evaluate(moment, case, Outcome.COUNTED, urgent=urgent)
    if urgent and requested(policy, case) is None and not (policy.shadow and case.shadow_blocked):
        return ask(moment, case, Outcome.DUPLICATE, Trigger.URGENT_REASON)
    return Step(case, Outcome.DUPLICATE)


def apply_report(moment: Moment, case: Case, event: Report) -> Step:
    """Apply a report or a retraction. A blocked case takes retractions alone."""
    if case.state is State.BLOCKED and not event.retracted:
        return Step(case, Outcome.ALREADY_BLOCKED)
    policy = moment.policy
    before = window_start(policy, case, case.last)
    floor = before if event.retracted else window_start(policy, case, max(case.last, event.time))
    if event.time <= floor:
        return Step(case, Outcome.LATE)
    if case.withheld and not policy.shadow and costs_a_reporter(case, event, before, floor):
        # A threshold that was reached is not forgotten while its block waits.
        return Step(case, Outcome.HELD)
    standing = case.records.get(event.reporter_id)
    if standing is not None and not replaces(event, standing):
        return superseded(policy, case, event, standing, floor)
    if not event.retracted:
        case = replace(case, last=max(case.last, event.time))
    return enter(moment, slide(case, floor), event)
