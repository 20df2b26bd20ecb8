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
    """A decision of the service. A republished block lacks the counts and times, as the contract says."""

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

    @property
    def at(self) -> datetime:
        return datetime.fromisoformat(self.decided_at)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A moderator's verdict."""

    image_id: str
    cleared: bool
    at: datetime


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
    return _event("image.reported.v1", event_id, at, data)


def verdict_event(*, event_id: str, image_id: str, cleared: bool, at: datetime) -> bytes:
    data = {"image_id": image_id, "verdict": "cleared" if cleared else "upheld"}
    return _event("image.reviewed.v1", event_id, at, data)


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


def parse(body: bytes, arrived: datetime) -> Decision | Verdict | None:
    """Return the event, or None for an unknown one, which consumers must ignore by the contract.

    `arrived` is the time of a verdict without `time`.
    """
    try:
        event = json.loads(body)
        data = event["data"]
        if event["type"] == "image.reviewed.v1":
            return _verdict(event, data, arrived)
        return _decision(event["type"], data)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _verdict(event: Mapping[str, Any], data: Mapping[str, Any], arrived: datetime) -> Verdict | None:
    if data["verdict"] not in ("upheld", "cleared") or not isinstance(data["image_id"], str):
        return None
    time = datetime.fromisoformat(event["time"]) if event.get("time") else arrived
    if time.tzinfo is None:
        return None
    # As in the service: the time of an event is at most its arrival.
    return Verdict(data["image_id"], data["verdict"] == "cleared", min(time, arrived))


def _decision(event_type: str, data: Mapping[str, Any]) -> Decision | None:
    kind = _KINDS.get(event_type)
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
    )


def _time(value: str | None) -> datetime | None:
    return datetime.fromisoformat(value) if value else None


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
