"""The events that the service sends: they fit the schemas and CloudEvents, and are the same byte for byte."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from cloudevents.core.v1.event import CloudEvent
from jsonschema import Draft202012Validator

from image_moderation.contracts.schemas import json_schema
from image_moderation.domain.decision import Action, Decision, State, Trigger
from image_moderation.domain.message import DeadLetter, DeadLetterReason, Outgoing, RawMessage
from image_moderation.domain.report import Report, Review, Verdict
from image_moderation.events.dead_letters import Irrecoverable, read_dead_letter
from image_moderation.events.models import BLOCKED, DEAD_LETTER, REPORTED, RETRACTED, REVIEWED
from image_moderation.events.parse import parse
from image_moderation.events.render import (
    DEAD_LETTER_BODY_BYTES,
    DEAD_LETTER_EVENT_BYTES,
    DEAD_LETTER_HEADER_BYTES,
    NAMESPACE,
    dead_letter_message,
    decision_id,
    decision_message,
    report_event,
    review_event,
)
from tests.support.decisions import DECISION, UNBLOCKED_DECISION

VALID = Path(__file__).parents[2] / "contracts" / "examples" / "valid"

BLOCKED_EVENT = (
    b'{"specversion":"1.0","id":"314affe8-c13f-5731-a02c-e318fbbc84fc","source":"/image-moderation","type":"image.blocked.v1",'
    b'"subject":"img-42","time":"2026-11-23T10:00:07.123Z","datacontenttype":"application/json",'
    b'"data":{"image_id":"img-42","revision":1,"state":"blocked","decided_at":"2026-11-23T10:00:07.123Z",'
    b'"automated":true,"trigger":"threshold","distinct_reporters":5,"threshold":5,'
    b'"reasons":{"nudity":4,"spam":1},"first_reported_at":"2026-11-23T08:00:00.000Z",'
    b'"last_reported_at":"2026-11-23T10:00:07.001Z","policy":"3f9a1c77"}}'
)
BLOCKED_ID = "314affe8-c13f-5731-a02c-e318fbbc84fc"

UNBLOCKED_EVENT = (
    b'{"specversion":"1.0","id":"b3b41c80-861d-5ab8-b7cc-6a236a5de062","source":"/image-moderation","type":"image.unblocked.v1",'
    b'"subject":"img-42","time":"2026-11-23T10:01:40.456Z","datacontenttype":"application/json",'
    b'"data":{"image_id":"img-42","revision":2,"state":"open","decided_at":"2026-11-23T10:01:40.456Z",'
    b'"automated":false,"trigger":"moderator","policy":"3f9a1c77"}}'
)
REVIEW_DECISION = replace(
    DECISION,
    action=Action.REQUEST_REVIEW,
    state=State.OPEN,
    trigger=Trigger.REVIEW_THRESHOLD,
    distinct_reporters=3,
    reasons={"nudity": 3},
)
REVIEW_EVENT = (
    b'{"specversion":"1.0","id":"3a5fb849-4893-5f76-9dfc-906487c90cb4","source":"/image-moderation","type":"image.review-requested.v1",'
    b'"subject":"img-42","time":"2026-11-23T10:00:07.123Z","datacontenttype":"application/json",'
    b'"data":{"image_id":"img-42","revision":1,"state":"open","decided_at":"2026-11-23T10:00:07.123Z",'
    b'"automated":true,"trigger":"review_threshold","distinct_reporters":3,"threshold":5,'
    b'"reasons":{"nudity":3},"first_reported_at":"2026-11-23T08:00:00.000Z",'
    b'"last_reported_at":"2026-11-23T10:00:07.001Z","policy":"3f9a1c77"}}'
)
MODERATORS_BLOCK = replace(
    UNBLOCKED_DECISION, action=Action.BLOCK, revision=3, decided_at=1_795_428_200_789, state=State.BLOCKED
)
MODERATORS_BLOCK_EVENT = (
    b'{"specversion":"1.0","id":"2372f765-15f7-503e-b171-880de98f69fa","source":"/image-moderation","type":"image.blocked.v1",'
    b'"subject":"img-42","time":"2026-11-23T10:03:20.789Z","datacontenttype":"application/json",'
    b'"data":{"image_id":"img-42","revision":3,"state":"blocked","decided_at":"2026-11-23T10:03:20.789Z",'
    b'"automated":false,"trigger":"moderator","distinct_reporters":0,"threshold":5,'
    b'"reasons":{},"policy":"3f9a1c77"}}'
)

LETTER = DeadLetter(
    RawMessage("image.reported", "1795428007123-0", b"no JSON \xff", 1_795_428_007_123, 2, {"a": "ü"}),
    DeadLetterReason.NOT_UTF8,
    "byte 8 is not UTF-8",
)
LETTER_EVENT = (
    b'{"specversion":"1.0","id":"f812f730-3e2c-5e20-8aca-5c10d4fcc0df","source":"/image-moderation","type":"image.dead-letter.v1",'
    b'"time":"2026-11-23T10:00:07.123Z","datacontenttype":"application/json",'
    b'"data":{"reason":"not_utf8","error":"byte 8 is not UTF-8","channel":"image.reported",'
    b'"position":"1795428007123-0","deliveries":2,"size":9,'
    b'"sha256":"63f4f14a460fc1f46c51c35f22f7af71b70678c44a98a6b77899c3ae948da17c","truncated":false,'
    b'"body":"bm8gSlNPTiD/","headers":{"a":"\xc3\xbc"}}}'
)


def by_hand(namespace: UUID, *lines: str) -> str:
    """uuid5 as RFC 9562 has it: SHA-1 of the namespace's 16 bytes and the name, version 5, variant 10."""
    digest = bytearray(hashlib.sha1(namespace.bytes + "\n".join(lines).encode()).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    return str(UUID(bytes=bytes(digest)))


def check(event: bytes) -> dict[str, Any]:
    """Fits its schema, and is a CloudEvent to the standard's own library."""
    attributes: dict[str, Any] = json.loads(event)
    Draft202012Validator(json_schema(attributes["type"])).validate(attributes)
    message = HTTPMessage(headers={"content-type": "application/cloudevents+json"}, body=event)
    read = from_http_event(message)
    assert isinstance(read, CloudEvent)
    assert read.get_specversion() == "1.0"
    assert (read.get_id(), read.get_source()) == (attributes["id"], attributes["source"])
    assert (read.get_type(), read.get_subject()) == (attributes["type"], attributes.get("subject"))
    assert read.get_data() == attributes["data"]
    assert read.get_datacontenttype() == "application/json"
    time = read.get_time()
    assert time is not None
    assert time.isoformat(timespec="milliseconds").replace("+00:00", "Z") == attributes["time"]
    return attributes


def test_the_namespace() -> None:
    assert str(NAMESPACE) == "1bbaa33f-33a0-5594-bd2d-e5a3ccf477d2"
    assert uuid5(NAMESPACE_URL, "image-moderation") == NAMESPACE
    assert by_hand(NAMESPACE_URL, "image-moderation") == str(NAMESPACE)


def test_one_blocked_event_byte_for_byte() -> None:
    assert decision_message(DECISION) == Outgoing("image.blocked", BLOCKED_EVENT, BLOCKED_ID, "img-42")
    other = replace(DECISION, reasons={"nudity": 4, "spam": 1})
    assert decision_message(other).body == BLOCKED_EVENT
    assert (VALID / "blocked.json").read_bytes() == BLOCKED_EVENT
    check(BLOCKED_EVENT)


def test_the_id_of_a_blocked_event() -> None:
    assert decision_id(DECISION) == BLOCKED_ID
    assert by_hand(NAMESPACE, "img-42", "2026-11-23T10:00:07.123Z", "1", "image.blocked.v1") == BLOCKED_ID


@pytest.mark.parametrize(
    "other", [{"image_id": "img-43"}, {"revision": 2}, {"decided_at": DECISION.decided_at + 1}], ids=str
)
def test_another_decision_has_another_id(other: dict[str, Any]) -> None:
    assert decision_id(replace(DECISION, **other)) != BLOCKED_ID


def test_a_blocked_event_of_any_text() -> None:
    image = '写真/桜🌸 "\\/'
    event = check(decision_message(replace(DECISION, image_id=image, reasons={})).body)
    assert (event["subject"], event["data"]["image_id"]) == (image, image)
    assert event["id"] == by_hand(NAMESPACE, image, event["time"], "1", BLOCKED)


@pytest.mark.parametrize(
    ("decision", "channel", "body", "example"),
    [
        (UNBLOCKED_DECISION, "image.unblocked", UNBLOCKED_EVENT, "unblocked"),
        (REVIEW_DECISION, "image.review-requested", REVIEW_EVENT, "review-requested"),
        (MODERATORS_BLOCK, "image.blocked", MODERATORS_BLOCK_EVENT, "blocked-by-moderator"),
    ],
)
def test_the_other_decisions_byte_for_byte(
    decision: Decision, channel: str, body: bytes, example: str
) -> None:
    assert decision_message(decision) == Outgoing(channel, body, decision_id(decision), "img-42")
    assert (VALID / f"{example}.json").read_bytes() == body
    event = check(body)
    assert event["id"] == by_hand(NAMESPACE, "img-42", event["time"], str(decision.revision), f"{channel}.v1")


def test_one_dead_letter_byte_for_byte() -> None:
    message = dead_letter_message(LETTER, 1_795_428_007_123)
    assert (message.channel, message.body) == ("image.dead-letter", LETTER_EVENT)
    assert (VALID / "dead-letter.json").read_bytes() == LETTER_EVENT
    event = check(LETTER_EVENT)
    assert event["type"] == DEAD_LETTER
    assert event["id"] == message.event_id == by_hand(NAMESPACE, "image.reported", "1795428007123-0")
    assert event["data"]["sha256"] == hashlib.sha256(LETTER.message.body).hexdigest()


def test_a_large_dead_letter_keeps_its_beginning() -> None:
    body = b"x" * DEAD_LETTER_BODY_BYTES + b"y"
    letter = LETTER._replace(message=LETTER.message._replace(body=body), reason=DeadLetterReason.TOO_LARGE)
    data = check(dead_letter_message(letter, 1_795_428_007_123).body)["data"]
    assert data["truncated"] is True
    assert data["size"] == len(body)
    assert data["sha256"] == hashlib.sha256(body).hexdigest()
    assert len(data["body"]) == (DEAD_LETTER_BODY_BYTES + 2) // 3 * 4


@pytest.mark.parametrize(
    ("headers", "kept"),
    [
        ({"a": "x" * (DEAD_LETTER_HEADER_BYTES - 1)}, ["a"]),
        ({"a": "x" * DEAD_LETTER_HEADER_BYTES}, []),
        ({"ce_id": "1", "a": "写" * DEAD_LETTER_HEADER_BYTES, "ce_type": "t"}, ["ce_id", "ce_type"]),
        ({str(n): "" for n in range(100_000)}, None),
    ],
    ids=["just", "too-large", "one-of-three", "many"],
)
def test_a_dead_letter_keeps_the_headers_that_find_room(
    headers: dict[str, str], kept: list[str] | None
) -> None:
    letter = LETTER._replace(message=LETTER.message._replace(headers=headers))
    event = dead_letter_message(letter, 1_795_428_007_123).body
    data = check(event)["data"]
    assert kept is None or list(data["headers"]) == kept
    assert data["truncated"] is (len(data["headers"]) < len(headers))
    record = read_dead_letter(event, "1-0")
    if data["truncated"]:
        with pytest.raises(Irrecoverable, match="its headers were too large"):
            record.original()
    else:
        assert record.original() == LETTER.message.body


def test_no_dead_letter_is_larger_than_a_broker_takes() -> None:
    for character in ("\x01", '"', "\\", "写", "\u2028", "x"):
        headers = {f"{n:x}": character * 500 for n in range(1_000)} | dict.fromkeys(
            map(str, range(9_000)), ""
        )
        body = b"\xff" * (2 * DEAD_LETTER_BODY_BYTES)
        letter = LETTER._replace(message=LETTER.message._replace(body=body, headers=headers))
        assert len(dead_letter_message(letter, 1_795_428_007_123).body) <= DEAD_LETTER_EVENT_BYTES


@pytest.mark.parametrize("retract", [False, True])
@pytest.mark.parametrize("reason", [None, "nudity"])
@pytest.mark.parametrize("group", [None, "device-9f"])
def test_a_report_that_is_sent_is_understood(*, retract: bool, reason: str | None, group: str | None) -> None:
    body = report_event(
        event_id="e-1",
        source="/gallery",
        time=1_795_428_000_500,
        image_id="写真",
        reporter_id="user-7",
        reason=reason,
        group=group,
        retract=retract,
    )
    assert check(body)["type"] == (RETRACTED if retract else REPORTED)
    report = parse(RawMessage("image.reported", "1-0", body), 1_795_428_300_000, 65_536)
    assert isinstance(report, Report)
    assert (report.image_id, report.reporter_id, report.time) == ("写真", "user-7", 1_795_428_000_500)
    assert report.retracted is retract
    assert report.reason == ("unspecified" if retract or not reason else reason)
    assert report.group == (None if retract else group)


@pytest.mark.parametrize("verdict", Verdict)
@pytest.mark.parametrize("moderator", [None, "Zoë"])
def test_a_review_that_is_sent_is_understood(verdict: Verdict, moderator: str | None) -> None:
    body = review_event(
        event_id="e-1",
        source="/moderation-desk",
        time=1_795_428_000_500,
        image_id="写真",
        verdict=verdict,
        moderator_id=moderator,
    )
    event = check(body)
    assert event["type"] == REVIEWED
    assert event["data"]["verdict"] == verdict.value
    assert event["data"].get("moderator_id") == moderator
    now = 1_795_428_300_000
    review = parse(RawMessage("image.reviewed", "1-0", body), now, 65_536)
    assert review == Review("写真", 1_795_428_000_500, now, verdict)
