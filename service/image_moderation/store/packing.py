"""Packs a batch of events into calls of `scripts/apply/`."""

from collections.abc import Sequence

from image_moderation.domain.report import Event, Report, Review, Verdict
from image_moderation.store.digests import Digests
from image_moderation.store.formats import Constant, Format
from image_moderation.store.keys import Keys, partition_of
from image_moderation.store.layout import NO_GROUP

EVENT = Format("I2BBI6c8c8I2")
"""Case, outbox, kind, time, reporter, group, reason; case, outbox and reason by their numbers in the call."""
REPORT, RETRACTION, UPHELD, CLEARED, TICK, URGENT_REPORT = range(6)
"""The kinds of events. An urgent report is one with an urgent reason."""
NO_TRACE = " " * 55

WORK_AT_MOST = 6_000_000
"""Other clients wait while a script runs, so a call that has done so much leaves other events to another.

Work is counted roughly in nanoseconds: EVENT_WORK for each event, DECISION_WORK for a decision, BYTE_WORK for
each byte of a case that C copies or searches, SCAN_WORK for each that Lua goes through record by record.
"""
EVENT_WORK, DECISION_WORK, BYTE_WORK, SCAN_WORK = 3_000, 15_000, 4, 20
CASES_AT_ONCE, SMALL = 64, 50_000
"""Cases that the script reads in one go: an eighth at first, more while they are under SMALL bytes."""
UNSETTLED_AT_MOST = 1_000
"""Unsettled decisions that a retried batch returns; a sweep publishes the others."""

CONSTANTS: dict[str, Constant] = {
    "WORK_AT_MOST": WORK_AT_MOST,
    "EVENT_WORK": EVENT_WORK,
    "DECISION_WORK": DECISION_WORK,
    "BYTE_WORK": BYTE_WORK,
    "SCAN_WORK": SCAN_WORK,
    "CASES_AT_ONCE": CASES_AT_ONCE,
    "SMALL": SMALL,
    "UNSETTLED_AT_MOST": UNSETTLED_AT_MOST,
    "EVENT": EVENT.lua,
    "EVENT_BYTES": EVENT.size,
    "KIND_REPORT": REPORT,
    "KIND_RETRACTION": RETRACTION,
    "KIND_UPHELD": UPHELD,
    "KIND_CLEARED": CLEARED,
    "KIND_TICK": TICK,
    "KIND_URGENT_REPORT": URGENT_REPORT,
    "NO_TRACE": NO_TRACE,
    "TRACE_BYTES": len(NO_TRACE),
}
"""The packed events as the script knows them, by the names that stand for them there."""

_KIND_OF_VERDICT = {Verdict.UPHELD: UPHELD, Verdict.CLEARED: CLEARED}


class Call:
    """The part of one batch that goes into one script call."""

    __slots__ = ("cases", "events", "numbers", "partitions", "reasons", "ticks", "traces")

    def __init__(self) -> None:
        self.partitions: dict[int, int] = {}
        """Each with its number among the call's outboxes, from 1; likewise the cases and the reasons."""
        self.cases: dict[bytes, int] = {}
        self.reasons: dict[str, int] = {}
        self.events: list[bytes] = []
        self.numbers: list[int] = []
        """The place of each event in the batch, from 0."""
        self.ticks = False
        """Whether any of the events is a tick."""
        self.traces: dict[int, str] = {}
        """The traceparent of those events that have one, by their place in the call, from 0."""

    def after(self, applied: int) -> "Call":
        """Return a call for the events that a call has left, because it had done enough work for one."""
        rest = Call()
        rest.partitions, rest.cases, rest.reasons, rest.ticks = (
            self.partitions,
            self.cases,
            self.reasons,
            self.ticks,
        )
        rest.events, rest.numbers = self.events[applied:], self.numbers[applied:]
        rest.traces = {n - applied: trace for n, trace in self.traces.items() if n >= applied}
        return rest

    def packed_traces(self) -> str:
        """One trace an event, blanks for an event without; empty if no event has one."""
        if not self.traces:
            return ""
        return "".join(self.traces.get(number, NO_TRACE) for number in range(len(self.events)))


def pack(
    events: Sequence[Event], *, keys: Keys, digests: Digests, urgent: frozenset[str], one_call: bool
) -> Sequence[Call]:
    """Pack a batch into script calls: a single one, or one for each partition, as a Cluster needs."""
    calls: dict[int, Call] = {}
    reporter, group_of, prefixes = digests.reporter, digests.group, keys.case_prefixes
    packed = EVENT.python.pack
    for number, event in enumerate(events):
        image = event.image_id.encode()
        partition = partition_of(image)
        place = 0 if one_call else partition
        call = calls.get(place)
        if call is None:
            call = calls[place] = Call()
        cases, reasons = call.cases, call.reasons
        case = cases.setdefault(prefixes[partition] + image, len(cases) + 1)
        outbox = call.partitions.setdefault(partition, len(call.partitions) + 1)
        if event.traceparent:
            call.traces[len(call.events)] = event.traceparent
        if isinstance(event, Report):
            kind = RETRACTION if event.retracted else URGENT_REPORT if event.reason in urgent else REPORT
            record = packed(
                case,
                outbox,
                kind,
                event.time.to_bytes(6, "little"),
                reporter(event.reporter_id),
                group_of(event.group),
                reasons.setdefault(event.reason, len(reasons) + 1),
            )
        elif isinstance(event, Review):
            kind, time = _KIND_OF_VERDICT[event.verdict], event.time.to_bytes(6, "little")
            record = packed(case, outbox, kind, time, NO_GROUP, NO_GROUP, 0)
        else:
            call.ticks = True
            record = packed(case, outbox, TICK, bytes(6), NO_GROUP, NO_GROUP, 0)
        call.events.append(record)
        call.numbers.append(number)
    return list(calls.values())
