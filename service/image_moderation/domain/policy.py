"""The policy: what one event does to its case, as a pure function.

This is the oracle: `store/scripts/apply.lua` does the same on the packed case, and property tests
hold the two together. Where they differ, this module is right.
"""

from collections import Counter
from dataclasses import dataclass, replace
from hashlib import sha256

from image_moderation.domain.case import Case, Record
from image_moderation.domain.decision import Action, Decision, State, Trigger
from image_moderation.domain.report import Event, Outcome, Report, Tick, Verdict

DAY = 86_400_000


@dataclass(frozen=True, slots=True)
class Policy:
    """The configured rule. Durations in milliseconds; 0 is off."""

    block_threshold: int = 5
    report_window: int = 30 * DAY
    """The longest span of reports that count together."""
    immunity: int = 30 * DAY
    """How long after a moderator cleared an image no report counts."""
    review_threshold: int = 0
    review_grace: int = 0
    """How long a block waits after a review was asked for."""
    urgent_reasons: frozenset[str] = frozenset()
    """Reasons whose first report asks for a review."""
    max_blocks_per_hour: int = 0
    shadow: bool = False
    """Decide, and let nothing come of it."""

    @property
    def hash(self) -> str:
        """Short and stable: the same settings give the same eight hex digits in every version."""
        facts = f"block_threshold={self.block_threshold}\nreport_window={self.report_window}\n"
        # What is at its default says nothing, so that an option added later changes no hash.
        standard = Policy()
        for name in ("immunity", "review_threshold", "review_grace", "max_blocks_per_hour", "shadow"):
            if getattr(self, name) != getattr(standard, name):
                facts += f"{name}={getattr(self, name)}\n"
        if self.urgent_reasons:
            facts += f"urgent_reasons={','.join(sorted(self.urgent_reasons))}\n"
        return sha256(facts.encode()).hexdigest()[:8]

    @property
    def asks_reviews(self) -> bool:
        """True where any option can ask for a review."""
        return bool(
            self.review_threshold or self.review_grace or self.urgent_reasons or self.max_blocks_per_hour
        )

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
    """In shadow mode this is what would have been decided; nothing may come of it."""
    shadow: bool = False
    due: int | None = None
    """When to look at the case again, for a block that is withheld until then."""


@dataclass(frozen=True, slots=True)
class _Moment:
    """What every rule needs to know besides the case."""

    policy: Policy
    image_id: str
    now: int
    blocks_left: int | None
    """Automatic blocks that the breaker still lets pass; None without a breaker."""
    traceparent: str | None


def score(records: dict[str, Record]) -> int:
    """Distinct groups among the standing reporters; a reporter without a group is a group of one."""
    return len(
        {
            (record.group or reporter, record.group is None)
            for reporter, record in records.items()
            if record.stands
        }
    )


def apply(policy: Policy, case: Case, event: Event, now: int, blocks_left: int | None = None) -> Step:
    """Return what `event` does to `case` at the service's time `now` (milliseconds).

    Pure and idempotent: an event that was applied before changes nothing. `blocks_left` is how many automatic
    blocks the breaker still lets pass, None without one.
    """
    moment = _Moment(policy, event.image_id, now, blocks_left, event.traceparent)
    if isinstance(event, Verdict):
        return _judge(moment, case, event)
    if case.state is State.BLOCKED:
        return Step(case, Outcome.TICKED if isinstance(event, Tick) else Outcome.ALREADY_BLOCKED)
    if isinstance(event, Tick):
        return _evaluate(moment, case, Outcome.TICKED)
    if event.time <= case.floor:
        return Step(case, Outcome.LATE)
    standing = case.records.get(event.reporter_id)
    if standing is not None and not _replaces(event, standing):
        return _superseded(policy, case, event, standing)
    if event.retracted:
        return _enter(moment, case, event)
    fitted = _fit(policy, case, event.time)
    return Step(case, Outcome.LATE) if fitted is None else _enter(moment, fitted, event)


# Reports ------------------------------------------------------------------------------------------


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
        return replace(_end_round(case, end), first=time, last=time)
    first, last = min(case.first, time), max(case.last, time)
    return None if last - first > policy.report_window else replace(case, first=first, last=last)


def _end_round(case: Case, floor: int) -> Case:
    """End the round at a floor that is at or after its last report; newer tombstones stay."""
    return replace(
        case,
        floor=floor,
        first=0,
        last=0,
        score=0,
        asked_at=0,
        shadow_asked_at=0,
        shadow_blocked=False,
        reasons=(),
        records={who: record for who, record in case.records.items() if record.time > floor},
    )


def _enter(moment: _Moment, case: Case, event: Report) -> Step:
    """Enter a report that fits the round, or a retraction, and evaluate the changed case."""
    records = _with_room(moment.policy, case.records, event)
    if records is None:
        return Step(case, Outcome.HELD)
    reason, reasons = (None, case.reasons) if event.retracted else case.name_reason(event.reason)
    group = None if event.retracted else event.group
    records = records | {event.reporter_id: Record(event.time, reason, group)}
    counted = score(records)
    outcome = Outcome.COUNTED if counted > case.score else Outcome.DUPLICATE
    case = replace(case, reasons=reasons, records=records, score=counted)
    if event.retracted:
        return _evaluate(moment, case, Outcome.RETRACTED)
    return _evaluate(moment, case, outcome, urgent=event.reason in moment.policy.urgent_reasons)


def _with_room(policy: Policy, records: dict[str, Record], event: Report) -> dict[str, Record] | None:
    """Bound the case: when a newcomer finds it full, tombstones and spare members of a group go.

    If that is not enough, which only a withheld block brings about, return None: the newcomer is held.
    Beyond the bound a retraction that was dropped no longer stops a late copy of its report.
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
    return kept if len(kept) < policy.most_records else None


# Verdicts -----------------------------------------------------------------------------------------


def _judge(moment: _Moment, case: Case, event: Verdict) -> Step:
    """The newest verdict by time wins; at equal time `upheld` does."""
    word = "upheld" if event.upheld else "cleared"
    if event.time == case.verdict_time and word == case.verdict:
        return Step(case, Outcome.DUPLICATE)
    if event.time < case.verdict_time or (event.time == case.verdict_time and not event.upheld):
        return Step(case, Outcome.STALE)
    case = replace(case, verdict=word, verdict_time=event.time)
    if event.upheld:
        if case.state is State.BLOCKED:
            return Step(case, Outcome.UPHELD)
        return _decide(moment, case, Outcome.UPHELD, Action.BLOCK, Trigger.MODERATOR)
    floor = max(case.floor, event.time + moment.policy.immunity)
    if case.state is State.BLOCKED:
        opened = replace(case, floor=floor)
        # Shadow mode included: what was published live is taken back.
        return _decide(moment, opened, Outcome.CLEARED, Action.UNBLOCK, Trigger.MODERATOR)
    return _evaluate(moment, _after_clearing(case, floor), Outcome.CLEARED)


def _after_clearing(case: Case, floor: int) -> Case:
    """Close the open round; reports newer than the floor, if there are any, begin a new one."""
    ended = _end_round(case, floor)
    times = [record.time for record in ended.records.values() if record.stands]
    if not times:
        return ended
    first, last = min(times), max(times)
    if case.first > floor:
        first, last = case.first, case.last
    return replace(ended, first=first, last=last, score=score(ended.records), reasons=case.reasons)


# Decisions ----------------------------------------------------------------------------------------


def _evaluate(moment: _Moment, case: Case, outcome: Outcome, *, urgent: bool = False) -> Step:
    """What the changed case calls for: nothing, a review, a block, or to wait with the block."""
    policy = moment.policy
    asked_at = case.shadow_asked_at if policy.shadow else case.asked_at
    if case.score < policy.block_threshold:
        if asked_at or (policy.shadow and case.shadow_blocked):
            return Step(case, outcome)
        if urgent:
            return _ask(moment, case, outcome, Trigger.URGENT_REASON)
        if policy.review_threshold and case.score >= policy.review_threshold:
            return _ask(moment, case, outcome, Trigger.REVIEW_THRESHOLD)
        return Step(case, outcome)
    if policy.shadow and case.shadow_blocked:
        return Step(case, outcome)
    if policy.review_grace:
        if not asked_at:
            trigger = Trigger.URGENT_REASON if urgent else Trigger.REVIEW_THRESHOLD
            return _ask(moment, case, outcome, trigger)
        if moment.now < asked_at + policy.review_grace:
            return Step(case, outcome, due=asked_at + policy.review_grace)
    if moment.blocks_left is not None and moment.blocks_left <= 0:
        return Step(case, outcome) if asked_at else _ask(moment, case, outcome, Trigger.BREAKER)
    return _decide(moment, case, outcome, Action.BLOCK, Trigger.THRESHOLD)


def _ask(moment: _Moment, case: Case, outcome: Outcome, trigger: Trigger) -> Step:
    """Ask for a review, once a round; if the block is only waiting for it, say until when."""
    step = _decide(moment, case, outcome, Action.REQUEST_REVIEW, trigger)
    policy = moment.policy
    if not policy.review_grace or case.score < policy.block_threshold:
        return step
    asked_at = step.case.shadow_asked_at if policy.shadow else step.case.asked_at
    return replace(step, due=asked_at + policy.review_grace)


def _decide(moment: _Moment, case: Case, outcome: Outcome, action: Action, trigger: Trigger) -> Step:
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
    # A block closes the round: its reporters are dropped, and none of its reports counts again. Before
    # an unblocking there are none.
    closed = replace(_end_round(case, max(case.floor, case.last)), records={}, state=decision.state)
    return Step(closed, outcome, decision)
