"""The part of the contract that this site needs: makes reports and verdicts, reads decisions and verdicts.

Written only from `contracts/README.md`. Imports only the standard library.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

REPORTED, REVIEWED = "image.reported", "image.reviewed"
_REPORT, _RETRACTION, _REVIEW = "image.reported.v1", "image.report-retracted.v1", "image.reviewed.v1"
DECISIONS = ("image.blocked", "image.unblocked", "image.review-requested")
FIELD = "__data__"
"""The field of a stream entry that has the event."""

_SOURCE = "/gallery"
_KINDS: Mapping[str, Literal["blocked", "unblocked", "review"]] = {
    "image.blocked.v1": "blocked",
    "image.unblocked.v1": "unblocked",
    "image.review-requested.v1": "review",
}
# As text these times sort chronologically, which the consumer rule needs.
_DECIDED_AT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision of the service. A republished block of an older service lacks the counts and times."""

    kind: Literal["blocked", "unblocked", "review"]
    image_id: str
    decided_at: str
    revision: int
    trigger: str = ""
    automated: bool = False
    distinct_reporters: int | None = None
    threshold: int | None = None
    reasons: Mapping[str, int] = field(default_factory=dict)
    first_reported_at: datetime | None = None
    last_reported_at: datetime | None = None
    policy: str = ""
    """Short hash of the rules that were in force."""
    event_id: str = ""

    @property
    def at(self) -> datetime:
        return datetime.fromisoformat(self.decided_at)

    @property
    def accounts(self) -> int | None:
        """Return how many accounts reported: more than `distinct_reporters` if a group counts once."""
        return sum(self.reasons.values()) if self.reasons else None


@dataclass(frozen=True, slots=True)
class Verdict:
    """A moderator's verdict."""

    image_id: str
    cleared: bool
    at: datetime


@dataclass(frozen=True, slots=True)
class Report:
    """A visitor's report, or its retraction."""

    image_id: str
    reporter_id: str
    at: datetime
    reason: str = ""
    retracted: bool = False


Event = Decision | Verdict | Report


def report_event(
    *,
    event_id: str,
    image_id: str,
    reporter_id: str,
    reason: str,
    at: datetime,
    reporter_group: str | None = None,
) -> bytes:
    data = {"image_id": image_id, "reporter_id": reporter_id, "reason": reason}
    if reporter_group is not None:
        data["reporter_group"] = reporter_group
    return _event(_REPORT, event_id, at, data)


def retraction_event(*, event_id: str, image_id: str, reporter_id: str, at: datetime) -> bytes:
    return _event(_RETRACTION, event_id, at, {"image_id": image_id, "reporter_id": reporter_id})


def verdict_event(*, event_id: str, image_id: str, cleared: bool, at: datetime) -> bytes:
    data = {"image_id": image_id, "verdict": "cleared" if cleared else "upheld"}
    return _event(_REVIEW, event_id, at, data)


def _event(event_type: str, event_id: str, at: datetime, data: Mapping[str, str]) -> bytes:
    event = {
        "specversion": "1.0",
        "id": event_id,
        "source": _SOURCE,
        "type": event_type,
        "time": stamp(at),
        "datacontenttype": "application/json",
        "data": data,
    }
    return json.dumps(event, ensure_ascii=False).encode()


def stamp(at: datetime) -> str:
    """Return a time in RFC 3339, UTC, with three decimals."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse(body: bytes, arrived: datetime) -> Event | None:
    """Return the event, or None for an unknown one, which consumers must ignore by the contract.

    `arrived` is the time of a verdict or a report without `time`.
    """
    try:
        event = json.loads(body)
        if event["type"] in (_REPORT, _RETRACTION, _REVIEW):
            return _incoming(event, event["data"], arrived)
        return _decision(event, event["data"])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _incoming(
    event: Mapping[str, Any], data: Mapping[str, Any], arrived: datetime
) -> Verdict | Report | None:
    """Return a verdict or a report: what the service gets, too."""
    time = datetime.fromisoformat(event["time"]) if event.get("time") else arrived
    if time.tzinfo is None or not isinstance(data["image_id"], str):
        return None
    at = min(time, arrived)  # as in the service: the time of an event is at most its arrival
    if event["type"] == _REVIEW:
        known = data["verdict"] in ("upheld", "cleared")
        return Verdict(data["image_id"], data["verdict"] == "cleared", at) if known else None
    return Report(
        data["image_id"],
        str(data["reporter_id"]),
        at,
        reason=str(data.get("reason", "")),
        retracted=event["type"] == _RETRACTION,
    )


def _decision(event: Mapping[str, Any], data: Mapping[str, Any]) -> Decision | None:
    kind = _KINDS.get(event["type"])
    datetime.fromisoformat(data["decided_at"])  # the pattern doesn't exclude a 13th month
    image_id, decided_at = data["image_id"], data["decided_at"]
    if kind is None or not isinstance(image_id, str) or not _DECIDED_AT.fullmatch(decided_at):
        return None
    return Decision(
        kind=kind,
        image_id=image_id,
        decided_at=decided_at,
        revision=int(data["revision"]),
        trigger=str(data.get("trigger", "")),
        automated=data.get("automated") is True,
        distinct_reporters=_count(data.get("distinct_reporters")),
        threshold=_count(data.get("threshold")),
        reasons={str(name): int(number) for name, number in (data.get("reasons") or {}).items()},
        first_reported_at=_time(data.get("first_reported_at")),
        last_reported_at=_time(data.get("last_reported_at")),
        policy=str(data.get("policy", "")),
        event_id=str(event.get("id", "")),
    )


def _time(value: str | None) -> datetime | None:
    return datetime.fromisoformat(value) if value else None


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
