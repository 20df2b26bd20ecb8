"""CloudEvents in binary mode, as the bindings of Kafka, AMQP and NATS write it, and trace context."""

import json
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import quote

import pytest
from aiormq.abc import DeliveredMessage
from cloudevents.core.bindings import amqp, kafka, rabbitmq
from cloudevents.core.v1.event import CloudEvent
from confluent_kafka import Message
from hypothesis import given, settings
from hypothesis import strategies as st
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from image_moderation.brokers.kafka.messages import Batch, PartitionOffsets
from image_moderation.brokers.rabbitmq.messages import raw_message
from image_moderation.domain.message import RawMessage
from image_moderation.domain.report import Verdict
from image_moderation.events.parse import Malformed, parse
from image_moderation.events.render import decision_message
from tests.support.decisions import DECISION

NOW = 1_795_428_300_000
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
DATA = {"image_id": "写真/桜 %41", "reporter_id": "user-7", "reason": "nudity"}
ATTRIBUTES = {
    "specversion": "1.0",
    "id": "写真-1",
    "source": "/gallery",
    "type": "image.reported.v1",
    "time": "2026-11-23T10:00:00Z",
}


def parsed(headers: dict[str, str], body: bytes, channel: str = "image.reported") -> Any:
    return parse(RawMessage(channel, "1", body, NOW, headers=headers), NOW, 65_536)


def in_mode(prefix: str, **more: str) -> dict[str, str]:
    encode = quote if prefix == "ce-" else str
    return {f"{prefix}{name}": encode(value) for name, value in (ATTRIBUTES | more).items()}


STRUCTURED = parsed({}, json.dumps({**ATTRIBUTES, "data": DATA}).encode())


@pytest.mark.parametrize("prefix", ["ce_", "ce-", "cloudEvents:", "cloudEvents_", "CE_"])
@pytest.mark.parametrize("content_type", [None, "application/json", "application/json; charset=utf-8"])
def test_a_report_in_binary_mode_is_the_same_report(prefix: str, content_type: str | None) -> None:
    headers = in_mode(prefix) | ({} if content_type is None else {"content-type": content_type})
    assert parsed(headers, json.dumps(DATA).encode()) == STRUCTURED


def as_text(headers: dict[str, Any]) -> dict[str, str]:
    """As an adapter hands them over."""
    return {name: one.decode() if isinstance(one, bytes) else str(one) for name, one in headers.items()}


def test_what_the_official_library_sends() -> None:
    time = datetime.fromisoformat(ATTRIBUTES["time"])
    event = CloudEvent({**ATTRIBUTES, "time": time, "datacontenttype": "application/json"}, DATA)
    for to_kafka in (kafka.to_binary_event, kafka.to_structured_event):
        sent = to_kafka(event)
        assert parsed(as_text(sent.headers), bytes(sent.value)) == STRUCTURED
    for to_amqp in (amqp.to_binary_event, amqp.to_structured_event):
        message = to_amqp(event)
        headers = as_text({**message.application_properties, **message.properties})
        assert parsed(headers, bytes(message.application_data)) == STRUCTURED
    for to_rabbitmq in (rabbitmq.to_binary_event, rabbitmq.to_structured_event):
        one = to_rabbitmq(event)
        headers = as_text({**one.headers, "content-type": one.content_type})
        assert parsed(headers, bytes(one.body)) == STRUCTURED


def test_a_verdict_in_binary_mode() -> None:
    headers = in_mode("ce_", type="image.reviewed.v1")
    review = parsed(headers, b'{"image_id": "img-42", "verdict": "cleared"}', "image.reviewed")
    assert (review.image_id, review.verdict) == ("img-42", Verdict.CLEARED)


@pytest.mark.parametrize("content_type", ["application/cloudevents+json", "application/json"])
def test_structured_mode_with_headers(content_type: str) -> None:
    body = json.dumps({**ATTRIBUTES, "data": DATA}).encode()
    headers = {"content-type": content_type, "x-request": "7"}
    assert parsed(headers, body) == STRUCTURED


def test_a_structured_event_is_not_read_by_headers_beside_it() -> None:
    body = json.dumps({**ATTRIBUTES, "data": DATA}).encode()
    headers = in_mode("ce_", id="other") | {"content-type": "application/cloudevents+json"}
    assert parsed(headers, body) == STRUCTURED


@pytest.mark.parametrize(
    ("headers", "body", "reason"),
    [
        (in_mode("ce_"), b"\xff", "not_utf8"),
        (in_mode("ce_"), b"{", "not_json"),
        (in_mode("ce_"), b'{"a": NaN}', "not_json"),
        (in_mode("ce_"), b"", "empty"),
        (in_mode("ce_"), b"[]", "invalid"),
        (in_mode("ce_"), b'{"image_id": "img"}', "invalid"),
        (in_mode("ce_", type="image.liked.v1"), json.dumps(DATA).encode(), "unknown_type"),
        (in_mode("ce_", specversion="0.3"), json.dumps(DATA).encode(), "not_an_event"),
        ({"ce_specversion": "1.0"}, json.dumps(DATA).encode(), "not_an_event"),
        (in_mode("ce_") | {"content-type": "text/xml"}, json.dumps(DATA).encode(), "invalid"),
    ],
)
def test_malformed_in_binary_mode(headers: dict[str, str], body: bytes, reason: str) -> None:
    with pytest.raises(Malformed) as refused:
        parsed(headers, body)
    assert refused.value.reason == reason


@pytest.mark.parametrize("prefix", ["ce_", "ce-", "cloudEvents:", "cloudEvents_"])
@pytest.mark.parametrize(
    "time",
    [
        "1764064800",
        "176406480000",
        "17640648000000",
        "1764064800000000",
        "1764064800000000000",
        "1" * 400,
        "\N{SUPERSCRIPT TWO}\N{SUPERSCRIPT THREE}",
        "\N{ARABIC-INDIC DIGIT ONE}" * 13,
        "-1764064800000",
        "1764064800000.0",
        "1.7e12",
        "0",
        "",
        "null",
        "None",
        "True",
        "2026-11-23",
        "2026-02-30T10:00:00Z",
    ],
)
def test_a_time_that_is_none_is_named(prefix: str, time: str) -> None:
    for event_type, channel, data in (
        ("image.reported.v1", "image.reported", DATA),
        ("image.reviewed.v1", "image.reviewed", {"image_id": "img", "verdict": "cleared"}),
    ):
        with pytest.raises(Malformed, match=r"^time: ") as refused:
            parsed(in_mode(prefix, time=time, type=event_type), json.dumps(data).encode(), channel)
        assert refused.value.reason == "invalid"
    with pytest.raises(Malformed, match=r"^time: "):
        parsed({}, json.dumps({**ATTRIBUTES, "time": time, "data": DATA}).encode())


@pytest.mark.parametrize("time", [1764064800, 1764064800000000, 1e30, True, [], {}])
def test_a_time_that_is_no_text_is_named(time: object) -> None:
    with pytest.raises(Malformed, match=r"^time: ") as refused:
        parsed({}, json.dumps({**ATTRIBUTES, "time": time, "data": DATA}).encode())
    assert refused.value.reason == "invalid"


def test_amqps_own_time_is_milliseconds() -> None:
    for prefix in ("cloudEvents:", "cloudEvents_"):
        headers = in_mode(prefix, time="1795428000000")
        assert parsed(headers, json.dumps(DATA).encode()) == STRUCTURED


@pytest.mark.parametrize(
    ("name", "value", "reason", "error"),
    [
        ("id", "", "invalid", "^id: "),
        ("id", "a\x00b", "invalid", "^id: "),
        ("id", "i" * 1025, "invalid", "^id: "),
        ("source", "", "invalid", "^source: "),
        ("type", "", "unknown_type", "^type: "),
        ("specversion", "", "not_an_event", "^specversion: "),
    ],
)
def test_an_attribute_that_breaks_its_rule_is_named(name: str, value: str, reason: str, error: str) -> None:
    for prefix in ("ce_", "ce-", "cloudEvents:", "cloudEvents_"):
        with pytest.raises(Malformed, match=error) as refused:
            parsed(in_mode(prefix, **{name: value}), json.dumps(DATA).encode())
        assert refused.value.reason == reason


def kafka_record(headers: dict[str, str | None]) -> RawMessage:
    """As a consumer is given it."""
    batch = Batch()
    sent: dict[str, str | bytes | None] = {**headers}
    body = json.dumps(DATA).encode()
    batch.add(
        Message(topic="image.reported", partition=0, offset=1, value=body, headers=sent), PartitionOffsets()
    )
    return batch.decoded[0]


def rabbitmq_delivery(headers: dict[str, str | None]) -> RawMessage:
    """As a consumer is given it."""
    delivered = DeliveredMessage(
        delivery=Basic.Deliver("tag", 1, False, "image-moderation", "image.reported"),
        header=ContentHeader(properties=Basic.Properties(message_id="id", headers=headers)),  # type: ignore[arg-type]
        body=json.dumps(DATA).encode(),
        channel=None,  # type: ignore[arg-type]  # not acked here
    )
    return raw_message("image.reported", delivered)


@pytest.mark.parametrize(("take", "prefix"), [(kafka_record, "ce_"), (rabbitmq_delivery, "cloudEvents:")])
def test_an_attribute_that_is_null_is_absent(take: Any, prefix: str) -> None:
    message = take({**in_mode(prefix), f"{prefix}time": None})
    report = parse(message._replace(arrived=NOW), NOW, 65_536)
    assert report == parsed({**in_mode(prefix), f"{prefix}time": "2026-11-23T10:05:00Z"}, message.body)
    for name in ("id", "source", "type"):
        with pytest.raises(Malformed, match=f"are missing: {name}") as refused:
            parse(take({**in_mode(prefix), f"{prefix}{name}": None}), NOW, 65_536)
        assert refused.value.reason == "not_an_event"


names = st.sampled_from(
    [
        f"{prefix}{name}"
        for prefix in ("ce_", "ce-", "cloudEvents:", "")
        for name in [*ATTRIBUTES, "data", "x"]
    ]
    + ["content-type", "Content-Type", "traceparent"]
)
values = st.text() | st.sampled_from(
    [*ATTRIBUTES.values(), "null", "application/json", "%FF", "176406480000000"]
)


@settings(deadline=None)
@given(
    st.dictionaries(names, values.map(lambda text: text.encode(errors="replace").decode())),
    st.sampled_from(["image.reported", "image.reviewed"]),
    st.sampled_from([json.dumps(DATA).encode(), b"{}", b"1", b'{"data": {}}']) | st.binary(),
)
def test_whatever_the_headers_are_the_parser_gives_an_event_or_a_reason(
    headers: dict[str, str], channel: str, body: bytes
) -> None:
    for base in ({}, in_mode("ce_"), in_mode("cloudEvents:"), in_mode("ce-")):
        with suppress(Malformed):
            assert parsed({**base, **headers}, body, channel)


@pytest.mark.parametrize(
    ("header", "attribute", "carried"),
    [
        (None, TRACE, TRACE),
        (TRACE, None, TRACE),
        (TRACE, TRACE.replace("4b", "4c"), TRACE),
        ("junk", TRACE, TRACE),
        (None, "00-" + "0" * 32 + TRACE[35:], None),
        (None, "ff" + TRACE[2:], None),
        (None, 7, None),
        (None, TRACE + "-more", None),
        (None, None, None),
    ],
)
def test_the_trace_context_of_a_message(header: str | None, attribute: object, carried: str | None) -> None:
    event = {**ATTRIBUTES, "data": DATA} | ({} if attribute is None else {"traceparent": attribute})
    headers = {} if header is None else {"traceparent": header}
    assert parsed(headers, json.dumps(event).encode()) == STRUCTURED._replace(traceparent=carried)


def test_the_trace_context_in_binary_mode() -> None:
    report = parsed(in_mode("ce_", traceparent=TRACE), json.dumps(DATA).encode())
    assert report.traceparent == TRACE


def test_a_decision_carries_the_trace_context() -> None:
    message = decision_message(replace(DECISION, traceparent=TRACE))
    assert json.loads(message.body)["traceparent"] == TRACE
    assert message.headers == {"traceparent": TRACE}
