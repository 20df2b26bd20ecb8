"""The examples of `contracts/examples`: the parser and the published schemas say the same of each."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from image_moderation.brokers.redis.messages import raw_message
from image_moderation.domain.message import DeadLetterReason, RawMessage
from image_moderation.domain.report import Report, Review
from image_moderation.events.models import (
    REPORTED,
    REPORTED_CHANNEL,
    RETRACTED,
    REVIEWED,
    REVIEWED_CHANNEL,
    types_on,
)
from image_moderation.events.parse import Malformed, parse

CONTRACTS = Path(__file__).parents[2] / "contracts"
VALID = sorted((CONTRACTS / "examples" / "valid").iterdir())
INVALID = [
    file for file in sorted((CONTRACTS / "examples" / "invalid").iterdir()) if file.name != "expected.json"
]
EXPECTED: Mapping[str, str] = json.loads((CONTRACTS / "examples" / "invalid" / "expected.json").read_text())

NOW = 1_795_428_300_000  # 2026-11-23T10:05:00Z, in milliseconds
MAX_BYTES = 65_536
MARKER = "SECRET-MARKER"
REPORTED_TYPES = {row.name for row in types_on(REPORTED_CHANNEL)}
REVIEWED_TYPES = {row.name for row in types_on(REVIEWED_CHANNEL)}

NO_MARKER = {
    "body-empty.json",
    "body-of-spaces.json",
    "not-an-object-boolean.json",
    "not-an-object-null.json",
    "not-an-object-number.json",
    "not-utf8-utf16.json",
    "object-empty.json",
}
"""Examples that have no room for a marker, or hold it in another encoding."""

SCHEMA_CANT_TELL = {
    "body-too-large.repeat.json": "a schema sees no bytes",
    "not-json-nested-too-deep.repeat.json": "other readers go deeper",
    "not-json-lone-surrogate.json": "some readers take it for text",
    "reviewed-time-in-future.json": "a schema has no clock",
    "time-in-future.json": "a schema has no clock",
    "time-no-such-day.json": "a pattern has no calendar",
    "time-year-0.json": "RFC 3339 has such a year",
}


def schema(event_type: str) -> Draft202012Validator:
    text = (CONTRACTS / "schemas" / f"{event_type}.schema.json").read_text()
    Draft202012Validator.check_schema(json.loads(text))
    return Draft202012Validator(json.loads(text))


SCHEMAS = {file.name.removesuffix(".schema.json") for file in (CONTRACTS / "schemas").iterdir()}
VALIDATORS = {event_type: schema(event_type) for event_type in SCHEMAS}


def strict_json(body: bytes) -> Any:
    """As JSON's standard has it. Raises ValueError."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    return json.loads(body.decode(), parse_constant=refuse)


def channel_of(file: Path) -> str:
    """Where an example came in."""
    return "image.reviewed" if file.name.startswith("reviewed") else "image.reported"


def message_of(file: Path) -> RawMessage:
    """Read an example: a body, a body of many bytes, or an entry of a stream."""
    body = file.read_bytes()
    if file.name.endswith(".entry.json"):
        fields = [part.encode() for pair in json.loads(body)["fields"].items() for part in pair]
        return raw_message("image.reported", b"1795428300000-0", fields)
    if file.name.endswith(".repeat.json"):
        made = json.loads(body)
        body = (made["before"] + made["repeat"] * made["times"] + made["after"]).encode()
    return RawMessage(channel_of(file), "1795428300000-0", body, NOW)


def read(body: bytes) -> Report:
    report = parse(RawMessage("image.reported", "1795428300000-0", body, NOW), NOW, MAX_BYTES)
    assert isinstance(report, Report)
    return report


def judge(body: bytes) -> Review:
    verdict = parse(RawMessage("image.reviewed", "1795428300000-0", body, NOW), NOW, MAX_BYTES)
    assert isinstance(verdict, Review)
    return verdict


@pytest.mark.parametrize("file", VALID, ids=lambda file: file.stem)
def test_a_valid_example_fits_its_schema(file: Path) -> None:
    event = strict_json(file.read_bytes())
    VALIDATORS[event["type"]].validate(event)


@pytest.mark.parametrize("file", VALID, ids=lambda file: file.stem)
def test_a_valid_example_is_parsed(file: Path) -> None:
    event = strict_json(file.read_bytes())
    for take, types in ((read, REPORTED_TYPES), (judge, REVIEWED_TYPES)):
        if event["type"] not in types:
            with pytest.raises(Malformed, match="type: takes") as refused:
                take(file.read_bytes())
            assert refused.value.reason == "unknown_type"
    if event["type"] == REVIEWED:
        verdict = judge(file.read_bytes())
        assert verdict.image_id == event["data"]["image_id"]
        assert verdict.verdict == event["data"]["verdict"]
    if event["type"] not in REPORTED_TYPES:
        return
    report = read(file.read_bytes())
    assert (report.image_id, report.reporter_id) == (event["data"]["image_id"], event["data"]["reporter_id"])
    assert report.retracted == (event["type"] == RETRACTED)
    if event["type"] == REPORTED:
        assert report.reason == event["data"].get("reason", "unspecified")
        assert report.group == event["data"].get("reporter_group")


@pytest.mark.parametrize(
    ("name", "time"),
    [
        ("reported", 1_795_428_000_000),
        ("reported-minimal", NOW),
        ("reported-time-null", NOW),
        ("reported-time-small-letters", 1_795_428_000_000),
        ("reported-time-with-offset", 1_795_428_000_123),
        ("reported-time-many-decimals", 1_795_428_000_123),
        ("reported-long-ago", 1),
    ],
)
def test_the_time_of_a_report(name: str, time: int) -> None:
    report = read((CONTRACTS / "examples" / "valid" / f"{name}.json").read_bytes())
    assert (report.time, report.arrived) == (time, NOW)


@pytest.mark.parametrize(
    ("name", "time"),
    [
        ("reviewed", 1_795_428_000_000),
        ("reviewed-minimal", NOW),
        ("reviewed-time-null", NOW),
        ("reviewed-time-with-offset", 1_795_428_000_123),
    ],
)
def test_the_time_of_a_verdict(name: str, time: int) -> None:
    body = (CONTRACTS / "examples" / "valid" / f"{name}.json").read_bytes()
    assert judge(body)[1:3] == (time, NOW)
    ahead = json.dumps({**strict_json(body), "time": "2026-11-24T10:04:00Z"}).encode()
    assert judge(ahead).time == NOW, "never later than its arrival"


def test_of_duplicate_keys_the_last_counts() -> None:
    file = CONTRACTS / "examples" / "valid" / "reported-duplicate-keys.json"
    assert read(file.read_bytes()).image_id == "img-42"


def test_every_event_has_examples() -> None:
    assert {strict_json(file.read_bytes())["type"] for file in VALID} == SCHEMAS


def test_every_invalid_example_is_expected() -> None:
    assert [file.name for file in INVALID] == sorted(EXPECTED)
    assert set(EXPECTED.values()) == set(DeadLetterReason) - {"too_many_deliveries"}
    assert {*NO_MARKER, *SCHEMA_CANT_TELL} <= set(EXPECTED)


@pytest.mark.parametrize("file", INVALID, ids=lambda file: file.stem)
def test_an_invalid_example_is_refused_for_its_reason(file: Path) -> None:
    message = message_of(file)
    with pytest.raises(Malformed) as refused:
        parse(message, NOW, MAX_BYTES)
    assert refused.value.reason == EXPECTED[file.name]
    sent = message.body + " ".join(message.headers.values()).encode()
    assert (MARKER.encode() in sent.upper()) != (file.name in NO_MARKER)
    error = str(refused.value)
    assert error
    assert "\n" not in error
    assert MARKER not in error.upper()
    assert not re.search(r"should|Input|Field|EOF|limit|\\|is not valid", error), error


@pytest.mark.parametrize("file", INVALID, ids=lambda file: file.stem)
def test_an_invalid_example_is_refused_by_the_schemas_where_they_can_tell(file: Path) -> None:
    if file.name in SCHEMA_CANT_TELL or file.name.endswith(".entry.json"):
        return
    try:
        event = strict_json(message_of(file).body)
    except ValueError:
        return
    for event_type in REVIEWED_TYPES if channel_of(file) == "image.reviewed" else REPORTED_TYPES:
        assert not VALIDATORS[event_type].is_valid(event)


text = st.text(st.characters(codec="utf-8"), max_size=4) | st.sampled_from(
    ["i" * 256, "i" * 257, "🌸" * 512, "🌸" * 513, "z" * 64, "z" * 65, "a\n", "\x9f", "\xa0"]
)
value = text | st.none() | st.booleans() | st.integers() | st.lists(text, max_size=1)
data = st.fixed_dictionaries(
    {"image_id": text, "reporter_id": text},
    optional={"reason": value, "reporter_group": value, "other": value},
)
attributes = st.fixed_dictionaries(
    {
        "specversion": st.just("1.0"),
        "id": value,
        "source": text,
        "type": st.sampled_from(sorted(REPORTED_TYPES)),
        "data": data | st.fixed_dictionaries({}, optional={"image_id": value, "reporter_id": value}),
    },
    optional={"time": st.none() | text, "other": value},
)


verdict_data = st.fixed_dictionaries(
    {"image_id": text, "verdict": st.sampled_from(["upheld", "cleared"])},
    optional={"moderator_id": value, "other": value},
)
verdicts = st.fixed_dictionaries(
    {
        "specversion": st.just("1.0"),
        "id": text,
        "source": text,
        "type": st.just(REVIEWED),
        "data": verdict_data
        | st.fixed_dictionaries({}, optional={"image_id": text, "verdict": value, "moderator_id": value}),
    },
    optional={"time": st.none() | text, "other": value},
)


@settings(deadline=None)
@given(attributes | verdicts)
def test_parser_and_schema_agree(event: dict[str, Any]) -> None:
    take = judge if event["type"] in REVIEWED_TYPES else read
    try:
        take(json.dumps(event).encode())
    except Malformed:
        parsed = False
    else:
        parsed = True
    assert VALIDATORS[event["type"]].is_valid(event) == parsed
