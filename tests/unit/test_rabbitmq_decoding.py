"""How deliveries of RabbitMQ are decoded: as the client does it, and whatever bytes a producer sends."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("aio_pika")
import pamqp.frame
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from image_moderation.brokers.rabbitmq import decoding

SHORT = st.text(max_size=63)
NAME = st.from_regex(r"[a-zA-Z0-9-_.:@#,/ ]{0,127}", fullmatch=True)
"""Of an exchange, as the client takes it."""


@pytest.fixture(autouse=True, scope="module")
def prepared() -> None:
    decoding.prepare()


def decoded(delivery: Basic.Deliver) -> Basic.Deliver:
    _, channel, frame = pamqp.frame.unmarshal(pamqp.frame.marshal(delivery, 7))
    assert channel == 7
    assert isinstance(frame, Basic.Deliver)
    return frame


@given(SHORT, st.integers(0, 2**63 - 1), st.booleans(), NAME, SHORT)
def test_a_delivery_is_read_as_it_was_written(
    consumer: str, tag: int, redelivered: bool, exchange: str, key: str
) -> None:
    found = decoded(Basic.Deliver(consumer, tag, redelivered, exchange, key))
    assert (found.consumer_tag, found.delivery_tag, found.redelivered) == (consumer, tag, redelivered)
    assert (found.exchange, found.routing_key) == (exchange, key)


def test_a_routing_key_that_is_not_utf_8_ends_no_connection() -> None:
    frame = pamqp.frame.marshal(Basic.Deliver("tag", 1, False, "e", "kex"), 1).replace(b"kex", b"k\xffy")
    _, _, found = pamqp.frame.unmarshal(frame)
    assert isinstance(found, Basic.Deliver)
    assert found.routing_key == "k\ufffdy"


def test_a_property_that_can_not_be_decoded_ends_no_connection() -> None:
    properties = Basic.Properties(content_type="text/plain", message_id="mid", timestamp=datetime.now(UTC))
    frame = pamqp.frame.marshal(ContentHeader(0, 3, properties), 1).replace(b"mid", b"m\xffd")
    _, _, header = pamqp.frame.unmarshal(frame)
    assert isinstance(header, ContentHeader)
    assert header.body_size == 3
    assert header.properties.content_type == "text/plain"
    assert header.properties.message_id is None
