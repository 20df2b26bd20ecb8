"""Reports and retractions: which of a reporter's events stands, whether it fits the round, and its record."""

from dataclasses import replace

from image_moderation.domain.case import Case, Record
from image_moderation.domain.policy import Policy
from image_moderation.domain.report import Outcome, Report
from image_moderation.domain.rules.decisions import Moment, Step, evaluate
from image_moderation.domain.rules.records import distinct_groups, end_round, with_room


def replaces(event: Report, standing: Record) -> bool:
    """The newest stands; at equal time a retraction beats a report, and the first of two alike stays."""
    if event.time != standing.time:
        return event.time > standing.time
    return event.retracted and standing.stands


def fit(policy: Policy, case: Case, time: int) -> Case | None:
    """Return the case with a round that holds `time`, or None if `time` is too old for the round.

    A round that spans more than the window, which was shortened since, takes no further report.
    """
    if case.first == 0:
        return replace(case, first=time, last=time)
    end = max(case.first + policy.report_window, case.last)
    if time > end:
        return replace(end_round(case, end), first=time, last=time)
    first, last = min(case.first, time), max(case.last, time)
    return None if last - first > policy.report_window else replace(case, first=first, last=last)


def superseded(policy: Policy, case: Case, event: Report, standing: Record) -> Step:
    """Pass over an event that the same reporter's newer one replaces: it changes no record."""
    if event.retracted:
        return Step(case, Outcome.DUPLICATE if event.time == standing.time else Outcome.STALE)
    # It is a report of the round all the same, so the round reaches to it in whatever order the two
    # arrive; else a repetition could still move the round.
    fitted = fit(policy, case, event.time) or case
    return Step(fitted, Outcome.DUPLICATE if standing.stands else Outcome.RETRACTED_BEFORE)


def enter(moment: Moment, case: Case, event: Report) -> Step:
    """Enter a report that fits the round, or a retraction, and evaluate the changed case."""
    records = with_room(moment.policy, case.records, event.reporter_id)
    if records is None:
        return Step(case, Outcome.HELD)
    reason, reasons = (None, case.reasons) if event.retracted else case.name_reason(event.reason)
    group = None if event.retracted else event.group
    records = records | {event.reporter_id: Record(event.time, reason, group)}
    counted = distinct_groups(records)
    outcome = Outcome.COUNTED if counted > case.score else Outcome.DUPLICATE
    case = replace(case, reasons=reasons, records=records, score=counted)
    if event.retracted:
        return evaluate(moment, case, Outcome.RETRACTED)
    return evaluate(moment, case, outcome, urgent=event.reason in moment.policy.urgent_reasons)


def apply_report(moment: Moment, case: Case, event: Report) -> Step:
    """Apply a report or a retraction to an open case."""
    if event.time <= case.floor:
        return Step(case, Outcome.LATE)
    standing = case.records.get(event.reporter_id)
    if standing is not None and not replaces(event, standing):
        return superseded(moment.policy, case, event, standing)
    if event.retracted:
        return enter(moment, case, event)
    fitted = fit(moment.policy, case, event.time)
    return Step(case, Outcome.LATE) if fitted is None else enter(moment, fitted, event)
