"""What must hold of the parser for every message there is, by other means than the parser's own.

Python's JSON reader and the published JSON Schemas judge what it accepts and what it refuses.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

from jsonschema import Draft202012Validator

from image_moderation.domain.clock import DAY
from image_moderation.domain.message import DeadLetter, DeadLetterReason, RawMessage
from image_moderation.domain.report import Report, Review
from image_moderation.events.dead_letters import read_dead_letter
from image_moderation.events.fields import PATTERNS
from image_moderation.events.models import DEAD_LETTER, REPORTED, RETRACTED, REVIEWED
from image_moderation.events.parse import Malformed, parse
from image_moderation.events.render import (
    DEAD_LETTER_BODY_BYTES,
    DEAD_LETTER_EVENT_BYTES,
    dead_letter_message,
    report_event,
    review_event,
)

NOW = 1_795_428_300_000  # 2026-11-23T10:05:00Z, in milliseconds
MAX_BYTES = 4_096
"""Less than the service's default, so that a fuzzer reaches it."""
LONGEST_ERROR = 400
SHORTEST_TELLING = 9
"""Characters: a shorter text may be part of a word of ours by chance."""
PREFIXES = ("ce_", "ce-", "cloudevents:", "cloudevents_")
TYPES = {"image.reported": (REPORTED, RETRACTED), "image.reviewed": (REVIEWED,)}
SCHEMAS = {
    name: Draft202012Validator(
        json.loads((Path(__file__).parents[2] / "contracts" / "schemas" / f"{name}.schema.json").read_text())
    )
    for name in (REPORTED, RETRACTED, REVIEWED, DEAD_LETTER)
}

Found = Report | Review | tuple[DeadLetterReason, str]


class Input(NamedTuple):
    """A message as a fuzzer writes it: a byte of flags, the headers a line each, a blank line, the body."""

    message: RawMessage

    @classmethod
    def of(cls, data: bytes) -> "Input":
        flags = data[0] if data else 0
        channel = "image.reviewed" if flags & 1 else "image.reported"
        arrived = NOW - 1000 if flags & 2 else None
        body, headers = data[1:], {}
        if flags & 4:
            head, _, body = data[1:].partition(b"\n\n")
            for line in head.split(b"\n"):
                name, _, value = line.partition(b": ")
                # As the transports decode them.
                headers[name.decode(errors="replace")] = value.decode(errors="replace")
        return cls(RawMessage(channel, "1-0", body, arrived, headers=headers))


def write(body: bytes, headers: Mapping[str, str] = {}, *, review: bool = False, stamp: bool = True) -> bytes:
    """Return the input that `Input.of` reads so."""
    flags = review | stamp << 1 | bool(headers) << 2
    head = "\n".join(f"{name}: {value}" for name, value in headers.items())
    return bytes([flags]) + (f"{head}\n\n".encode() if headers else b"") + body


def check(data: bytes) -> Found:
    """Parse one input and judge what came of it. AssertionError if something doesn't hold."""
    message = Input.of(data).message
    found = _parse(message)
    assert _parse(message) == found, "twice is not the same"
    if isinstance(found, Report | Review):
        _check_accepted(message, found)
    else:
        _check_refusal(message, *found)
    return found


def _parse(message: RawMessage) -> Found:
    try:
        return parse(message, NOW, MAX_BYTES)
    except Malformed as error:
        return error.reason, str(error)


def _check_refusal(message: RawMessage, reason: DeadLetterReason, error: str) -> None:
    assert reason in set(DeadLetterReason)
    assert 0 < len(error) <= LONGEST_ERROR, error
    assert error.isprintable(), ascii(error)
    document = _document(message)
    for value in _texts(document):
        assert len(value) < SHORTEST_TELLING or value in _OURS or value not in error, (value, error)
    _check_dead_letter(message, reason, error)
    judged = reason in (
        DeadLetterReason.INVALID,
        DeadLetterReason.NOT_AN_EVENT,
        DeadLetterReason.UNKNOWN_TYPE,
    )
    if judged and not error.startswith(("time: ", "datacontenttype: ")):  # of which a schema can't tell
        assert _broken(message.channel, document), f"the schemas accept it: {error}"


def _check_dead_letter(message: RawMessage, reason: DeadLetterReason, error: str) -> None:
    event = dead_letter_message(DeadLetter(message, reason, error), NOW)
    assert len(event.body) <= DEAD_LETTER_EVENT_BYTES
    SCHEMAS[DEAD_LETTER].validate(json.loads(event.body))
    record = read_dead_letter(event.body, "7-0")
    assert (record.reason, record.error, record.id) == (reason, error, event.event_id)
    assert record.body == message.body[:DEAD_LETTER_BODY_BYTES]
    assert record.truncated or (record.original() == message.body and record.headers == message.headers)


def _check_accepted(message: RawMessage, found: Report | Review) -> None:
    document = _document(message)
    assert not (why := _broken(message.channel, document)), why
    data = document["data"]
    arrived = NOW if message.arrived is None else message.arrived
    given = document.get("time")
    time = arrived if given is None else max(1, _milliseconds(given))
    assert time <= NOW + DAY
    assert (found.image_id, found.time, found.arrived) == (data["image_id"], min(time, arrived), arrived)
    one: dict[str, Any] = {"event_id": "e", "source": "/s", "time": found.time, "image_id": found.image_id}
    if isinstance(found, Review):
        assert found.verdict == data["verdict"]
        again = review_event(**one, verdict=found.verdict)
    else:
        assert (found.reporter_id, found.retracted) == (data["reporter_id"], document["type"] == RETRACTED)
        expected = ("unspecified", None) if found.retracted else _reason_and_group(data)
        # A retraction takes no note of fields that are not its own.
        assert found.retracted or (found.reason, found.group) == expected
        again = report_event(
            **one,
            reporter_id=found.reporter_id,
            reason=found.reason,
            group=found.group,
            retract=found.retracted,
        )
    rendered = parse(RawMessage(message.channel, "1-0", again, arrived), NOW, 65_536)
    assert rendered[:-1] == found[:-1], "rendered and parsed again it is another"  # but for its trace


def _reason_and_group(data: Mapping[str, Any]) -> tuple[str, str | None]:
    return data.get("reason", "unspecified"), data.get("reporter_group")


def _milliseconds(text: str) -> int:
    since = datetime.fromisoformat(text.upper()) - datetime(1970, 1, 1, tzinfo=UTC)
    return since.days * DAY + since.seconds * 1000 + since.microseconds // 1000


def _document(message: RawMessage) -> Any:
    """Return the event in structured mode as Python reads it; None if the body is no JSON."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        body = json.loads(message.body.decode(), parse_constant=refuse)
    except (ValueError, RecursionError):
        return None
    headers = {name.lower(): value for name, value in message.headers.items()}
    prefix = next((one for one in PREFIXES if f"{one}specversion" in headers), None)
    if prefix is None or headers.get("content-type", "").lower().startswith("application/cloudevents"):
        return body
    document: dict[str, Any] = {}
    for name, value in headers.items():
        if name.startswith(prefix):
            document[name[len(prefix) :]] = unquote(value) if prefix == "ce-" else value
    time = document.get("time", "")
    if prefix != "ce-" and len(time) == 13 and time.isascii() and time.isdigit():
        moment = datetime.fromtimestamp(int(time) // 1000, UTC).replace(microsecond=int(time) % 1000 * 1000)
        document["time"] = moment.isoformat()
    return document | {"data": body}


def _broken(channel: str, document: Any) -> str:
    """Return why the schemas of a channel refuse a document; "" if one takes it."""
    if not isinstance(document, dict) or document.get("type") not in TYPES[channel]:
        return "no event of this channel"
    # Ignored where it is none: a schema says what it should be.
    fields = {name: value for name, value in document.items() if name != "traceparent"}
    return next((error.message for error in SCHEMAS[document["type"]].iter_errors(fields)), "")


def _texts(document: Any) -> list[str]:
    """Return the texts that tell of people and images."""
    data = document.get("data") if isinstance(document, dict) else None
    fields = data if isinstance(data, dict) else {}
    names = ("image_id", "reporter_id", "reporter_group", "moderator_id")
    return [value for name in names if isinstance(value := fields.get(name), str)]


_BY_SCHEMA = (DeadLetterReason.INVALID, DeadLetterReason.NOT_AN_EVENT, DeadLetterReason.UNKNOWN_TYPE)
_OURS = " ".join(
    (
        *PATTERNS.values(),
        *TYPES["image.reported"],
        *TYPES["image.reviewed"],
        "datacontenttype: takes application/json",
        "image_id reporter_id reporter_group moderator_id specversion",
        "'upheld' or 'cleared'",
    )
)
"""Words of the errors, which an id may be as well."""
