"""Parses a broker's message to a report or a review. The only parser."""

from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails, from_json

from image_moderation.domain.clock import DAY
from image_moderation.domain.message import DeadLetterReason, RawMessage
from image_moderation.domain.report import UNSPECIFIED, Report, Review, Verdict
from image_moderation.events.binary import attributes, is_json, structured
from image_moderation.events.faults import explain, explain_json
from image_moderation.events.frames import frame
from image_moderation.events.models import (
    REPORTED_CHANNEL,
    REPORTS,
    RETRACTED,
    REVIEWED_CHANNEL,
    REVIEWS,
    types_on,
)
from image_moderation.events.trace import NAME, traceparent

# The validators themselves: the adapters' methods cost more and only pass options on.
_report_of_json = REPORTS.validator.validate_json
_review_of_json = REVIEWS.validator.validate_json
# A NamedTuple's own constructor passes its arguments through a function written in Python.
_new = tuple.__new__
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_STAMP = 1_420_070_400_000
_N, _I = b"NI"


class Malformed(Exception):
    """A message that can't be understood. The text is one line for a person.

    The text names attributes and rules, never a value from the message.
    """

    def __init__(self, reason: DeadLetterReason, error: str) -> None:
        super().__init__(error)
        self.reason = reason


def parse(message: RawMessage, now: int, max_bytes: int) -> Report | Review:
    """Return the report or review in `message`: on `image.reviewed` a review, elsewhere a report.

    `now` is the service's time in milliseconds, `max_bytes` how long body and headers may be together.

    Raises:
        Malformed: it contains neither.
    """
    channel, _, body, stamp, _, headers, _ = message
    is_review = channel == REVIEWED_CHANNEL
    if not body:
        raise Malformed(DeadLetterReason.EMPTY, "the message has no body")
    size = message.size if headers else len(body)
    if size > max_bytes:
        of = " with its headers" if headers else ""
        raise Malformed(DeadLetterReason.TOO_LARGE, f"{size} bytes{of}, at most {max_bytes} are taken")
    try:
        if headers and (found := attributes(headers)) is not None:
            if not is_json(found.get("datacontenttype", "")):
                raise Malformed(DeadLetterReason.INVALID, "datacontenttype: takes application/json")
            body = structured(found, body)
        # One byte is found twenty times as fast as a word.
        if (_N in body and b"NaN" in body) or (_I in body and b"Infinity" in body):
            from_json(body, allow_inf_nan=False)  # the validator accepts them as numbers
        event: Any = _review_of_json(body) if is_review else _report_of_json(body)
    except ValueError as error:
        raise _malformed(body, error, is_review) from None
    arrived = stamp if stamp is not None and _FIRST_STAMP <= stamp <= now + DAY else now
    given_time = event.get("time")
    if given_time is None and stamp is None and (is_review or event["type"] == RETRACTED):
        # A redelivery would get a later time, and so could undo a newer event.
        raise Malformed(DeadLetterReason.INVALID, "time: is missing, and this broker keeps none in its place")
    time = arrived if given_time is None else _milliseconds(given_time)
    if time > now + DAY:
        raise Malformed(
            DeadLetterReason.TIME_IN_FUTURE, "time: more than 24 hours ahead of this service's clock"
        )
    data = event["data"]
    trace = traceparent(headers, event.get(NAME)) if headers or NAME in event else None
    if is_review:
        return Review(data["image_id"], min(time, arrived), arrived, Verdict(data["verdict"]), trace)
    return _new(
        Report,
        (
            data["image_id"],
            data["reporter_id"],
            time if time < arrived else arrived,  # noqa: FURB136 - for every message, and `min` is slower
            arrived,
            data.get("reason", UNSPECIFIED),
            data.get("reporter_group"),
            event["type"] == RETRACTED,
            trace,
        ),
    )


def _milliseconds(text: str) -> int:
    """RFC 3339 to milliseconds, rounded down. Times before 1970 count as its first millisecond."""
    try:
        # It refuses a lower-case z.
        since = datetime.fromisoformat(text.upper() if text[-1] == "z" else text) - _EPOCH
    except (ValueError, OverflowError):
        raise Malformed(DeadLetterReason.INVALID, "time: no such date or time of day") from None
    milliseconds = since.days * DAY + since.seconds * 1000 + since.microseconds // 1000
    return milliseconds if milliseconds > 0 else 1


def _malformed(body: bytes, error: ValueError, is_review: bool) -> Malformed:
    """Return why a body was refused. Runs for malformed messages alone, so it may parse again."""
    framed = frame(body)
    try:
        body.decode()
    except UnicodeDecodeError as undecodable:
        return Malformed(DeadLetterReason.NOT_UTF8, framed or f"byte {undecodable.start} is not UTF-8")
    if body.startswith(b"\xef\xbb\xbf"):
        return Malformed(DeadLetterReason.NOT_JSON, "it begins with a byte-order mark")
    try:
        document = from_json(body, allow_inf_nan=False)
    except ValueError as broken:
        return Malformed(DeadLetterReason.NOT_JSON, explain_json(broken))
    if not isinstance(document, dict):
        return Malformed(DeadLetterReason.NOT_AN_EVENT, f"a JSON {_json_type(document)}, not an object")
    missing = [name for name in ("specversion", "id", "source", "type") if document.get(name) is None]
    if missing:
        return Malformed(
            DeadLetterReason.NOT_AN_EVENT,
            framed or f"required attributes are missing: {', '.join(missing)}",
        )
    if document["specversion"] != "1.0":
        return Malformed(DeadLetterReason.NOT_AN_EVENT, 'specversion: must be "1.0"')
    if not isinstance(document["type"], str):
        return Malformed(DeadLetterReason.INVALID, "type: is not text")
    known = {row.name for row in types_on(REVIEWED_CHANNEL if is_review else REPORTED_CHANNEL)}
    if document["type"] not in known:
        return Malformed(DeadLetterReason.UNKNOWN_TYPE, f"type: takes {' or '.join(sorted(known))}")
    if not isinstance(error, ValidationError):
        raise error
    details = error.errors(include_url=False, include_input=False)
    # The first part of a report's location is the union's tag, which only repeats `type`.
    tags = 0 if is_review else 1
    return Malformed(DeadLetterReason.INVALID, "; ".join(_located(detail, tags) for detail in details[:5]))


def _located(detail: ErrorDetails, tags: int) -> str:
    place = ".".join(str(part) for part in detail["loc"][tags:]) or "event"
    return f"{place}: {explain(detail)}"


def _json_type(document: Any) -> str:
    names = {list: "array", str: "string", bool: "boolean", type(None): "null"}
    return names.get(type(document), "number")
