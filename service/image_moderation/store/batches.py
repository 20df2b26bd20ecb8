"""A batch of events, packed for `scripts/apply.lua`, whose header documents the layout."""

import struct
from collections.abc import Sequence

from image_moderation.domain.report import Event, Report, Verdict
from image_moderation.store.digests import Digests
from image_moderation.store.keys import Keys, partition_of
from image_moderation.store.layout import NO_GROUP

_EVENT = struct.Struct("<HBB6s8s8sH")
_REPORT, _RETRACTION, _UPHELD, _CLEARED, _TICK, _URGENT = range(6)
_NO_TRACE = " " * 55


class Call:
    """The part of one batch that goes into one script call."""

    __slots__ = ("cases", "events", "numbers", "partitions", "reasons", "traces")

    def __init__(self) -> None:
        self.partitions: dict[int, int] = {}
        """Each with its number among the call's outboxes, from 1; likewise the next two."""
        self.cases: dict[bytes, int] = {}
        self.reasons: dict[str, int] = {}
        self.events: list[bytes] = []
        self.numbers: list[int] = []
        """Where each event stands in the batch."""
        self.traces: dict[int, str] = {}
        """The traceparent of those events of the call that have one, which few have."""

    def packed_traces(self) -> str:
        """One for each event, blanks for those without; nothing if no event has one."""
        if not self.traces:
            return ""
        return "".join(self.traces.get(number, _NO_TRACE) for number in range(len(self.events)))


def pack(
    events: Sequence[Event], *, keys: Keys, digests: Digests, urgent: frozenset[str], one_call: bool
) -> Sequence[Call]:
    """Pack a batch into script calls: a single one, or one for each partition, as a Cluster needs."""
    calls: dict[int, Call] = {}
    reporter, group_of, pack, prefixes = digests.reporter, digests.group, _EVENT.pack, keys.case_prefixes
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
        if isinstance(event, Report):
            kind = _RETRACTION if event.retracted else _URGENT if event.reason in urgent else _REPORT
            packed = pack(
                case,
                outbox,
                kind,
                event.time.to_bytes(6, "little"),
                reporter(event.reporter_id),
                group_of(event.group),
                reasons.setdefault(event.reason, len(reasons) + 1),
            )
        elif isinstance(event, Verdict):
            kind = _UPHELD if event.upheld else _CLEARED
            packed = pack(case, outbox, kind, event.time.to_bytes(6, "little"), NO_GROUP, NO_GROUP, 0)
        else:
            packed = pack(case, outbox, _TICK, bytes(6), NO_GROUP, NO_GROUP, 0)
        if event.traceparent:
            call.traces[len(call.events)] = event.traceparent
        call.events.append(packed)
        call.numbers.append(number)
    return list(calls.values())
