"""The policy: what one report does to its case, as a pure function.

This is the oracle: `store/scripts/apply.lua` does the same on the packed case, and property tests
hold the two together. Where they differ, this module is right.

Verdicts, immunity, review, breaker and shadow mode will each be one more step here and in the script.
"""

from collections import Counter
from dataclasses import dataclass, replace
from hashlib import sha256

from service.domain.case import Case, Record
from service.domain.decision import Action, Decision, State, Trigger
from service.domain.report import Outcome, Report


@dataclass(frozen=True, slots=True)
class Policy:
    """The configured rule."""

    block_threshold: int = 5
    report_window: int = 30 * 86_400_000
    """The longest span of reports that count together, in milliseconds."""

    @property
    def hash(self) -> str:
        """Short and stable: the same settings give the same eight hex digits in every version."""
        facts = f"block_threshold={self.block_threshold}\nreport_window={self.report_window}\n"
        return sha256(facts.encode()).hexdigest()[:8]

    @property
    def most_records(self) -> int:
        """Records that a case holds before tombstones and spare members of a group are dropped."""
        return 8 * self.block_threshold + 64


@dataclass(frozen=True, slots=True)
class Step:
    """What one event did: the case after it, its outcome, and the decision if it brought one."""

    case: Case
    outcome: Outcome
    decision: Decision | None = None


def score(records: dict[str, Record]) -> int:
    """Distinct groups among the standing reporters; a reporter without a group is a group of one."""
    return len(
        {
            (record.group or reporter, record.group is None)
            for reporter, record in records.items()
            if record.stands
        }
    )


def apply(policy: Policy, case: Case, event: Report, now: int) -> Step:
    """Return what `event` does to `case` at the service's time `now` (milliseconds).

    Pure and idempotent: an event that was applied before changes nothing.
    """
    if case.state is State.BLOCKED:
        return Step(case, Outcome.ALREADY_BLOCKED)
    if event.time <= case.floor:
        return Step(case, Outcome.LATE)
    standing = case.records.get(event.reporter_id)
    if standing is not None and not _replaces(event, standing):
        return _superseded(policy, case, event, standing)
    if event.retracted:
        records = _with_room(policy, case.records, event) | {
            event.reporter_id: Record(event.time, None, None)
        }
        case = replace(case, records=records, score=score(records))
        return _evaluate(policy, case, event.image_id, Outcome.RETRACTED, now)
    fitted = _fit(policy, case, event.time)
    if fitted is None:
        return Step(case, Outcome.LATE)
    return _count(policy, fitted, event, now)


def _replaces(event: Report, standing: Record) -> bool:
    """The newest stands; at equal time a retraction beats a report, and the first of two alike stays."""
    if event.time != standing.time:
        return event.time > standing.time
    return event.retracted and standing.stands


def _superseded(policy: Policy, case: Case, event: Report, standing: Record) -> Step:
    """An event that its reporter's newer one outdoes: it changes no record."""
    if event.retracted:
        return Step(case, Outcome.DUPLICATE if event.time == standing.time else Outcome.STALE)
    # It is a report of the round all the same, so the round reaches to it in whatever order the two
    # arrive; else a repetition could still move the round.
    fitted = _fit(policy, case, event.time) or case
    return Step(fitted, Outcome.DUPLICATE if standing.stands else Outcome.RETRACTED_BEFORE)


def _fit(policy: Policy, case: Case, time: int) -> Case | None:
    """Return the case with a round that holds `time`, or None if `time` is too old for the round.

    A round that spans more than the window, which was shortened since, takes no further report.
    """
    if case.first == 0:
        return replace(case, first=time, last=time)
    end = max(case.first + policy.report_window, case.last)
    if time > end:
        tombstones = {who: record for who, record in case.records.items() if record.time > end}
        return replace(case, floor=end, first=time, last=time, score=0, reasons=(), records=tombstones)
    first, last = min(case.first, time), max(case.last, time)
    return None if last - first > policy.report_window else replace(case, first=first, last=last)


def _count(policy: Policy, case: Case, event: Report, now: int) -> Step:
    """Enter the report into a round that it fits."""
    records = _with_room(policy, case.records, event)
    reason, reasons = case.name_reason(event.reason)
    records = records | {event.reporter_id: Record(event.time, reason, event.group)}
    counted = score(records)
    outcome = Outcome.COUNTED if counted > case.score else Outcome.DUPLICATE
    case = replace(case, reasons=reasons, records=records, score=counted)
    return _evaluate(policy, case, event.image_id, outcome, now)


def _with_room(policy: Policy, records: dict[str, Record], event: Report) -> dict[str, Record]:
    """Bound the case: when a newcomer finds it full, tombstones and spare members of a group go.

    What remains is fewer than the threshold, so there is always room; beyond the bound a retraction
    that was dropped no longer stops a late copy of its report.
    """
    if event.reporter_id in records or len(records) < policy.most_records:
        return records
    kept: dict[str, Record] = {}
    groups: set[str] = set()
    for reporter, record in records.items():
        if record.stands and record.group not in groups:
            kept[reporter] = record
            if record.group is not None:
                groups.add(record.group)
    return kept


def _evaluate(policy: Policy, case: Case, image_id: str, outcome: Outcome, now: int) -> Step:
    """Block if the changed case has reached the threshold.

    A block closes the round: its reporters are dropped, and none of its reports counts again.
    """
    if case.score < policy.block_threshold:
        return Step(case, outcome)
    decision = Decision(
        image_id=image_id,
        action=Action.BLOCK,
        revision=case.revision + 1,
        decided_at=max(now, case.decided_at + 1),
        state=State.BLOCKED,
        trigger=Trigger.THRESHOLD,
        automated=True,
        distinct_reporters=case.score,
        threshold=policy.block_threshold,
        reasons=dict(Counter(record.reason for record in case.records.values() if record.reason is not None)),
        first_reported_at=case.first,
        last_reported_at=case.last,
        policy=policy.hash,
    )
    closed = Case(
        state=State.BLOCKED,
        floor=case.last,
        revision=decision.revision,
        decided_at=decision.decided_at,
    )
    return Step(closed, outcome, decision)
