"""What is Kafka's own: how its URL is read, what the group is told, and what a ledger says of a partition."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from image_moderation.brokers.kafka.assignment import Ledger
from image_moderation.brokers.kafka.connection import client_settings
from image_moderation.brokers.port import Options, Transport
from image_moderation.brokers.registry import broker_for
from image_moderation.domain.errors import BrokerUnavailable, Misconfigured
from image_moderation.domain.message import DeadLetter, DeadLetterReason, Outgoing, RawMessage
from image_moderation.wiring import clock
from tests.support.brokers.harness import Harness
from tests.support.servers import free_port, wait_until_async

REPORTED, GROUP = "image.reported", "image-moderation"
PLACE = (REPORTED, 0)


def transport(url: str) -> Transport:
    return broker_for(url).make_transport(
        Options(
            url=url, group=GROUP, consumer="me", batch_size=100, clock=clock, dead_letter_retention=86_400_000
        )
    )


def test_the_address() -> None:
    plain = client_settings("kafka://h1:9092,h2:9093")
    assert plain["bootstrap.servers"] == "h1:9092,h2:9093"
    assert plain["security.protocol"] == "plaintext"
    secret = client_settings("kafka://me:p%40ss@h1:9092")
    assert (secret["security.protocol"], secret["sasl.mechanism"]) == ("sasl_plaintext", "PLAIN")
    assert (secret["sasl.username"], secret["sasl.password"]) == ("me", "p@ss")
    assert client_settings("kafka+tls://h1:9093")["security.protocol"] == "ssl"
    scram = client_settings("kafka+tls://me:pass@h1:9093?sasl=SCRAM-SHA-512")
    assert (scram["security.protocol"], scram["sasl.mechanism"]) == ("sasl_ssl", "SCRAM-SHA-512")


@pytest.mark.parametrize("query", ["?sasl=GSSAPI", "?acks=0", "?sasl=PLAIN&acks=0", "?sasl", "?sasl=PLAIN"])
def test_an_address_that_asks_for_something_else(query: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        transport(f"kafka://h1:9092{query}")
    assert "h1" not in str(caught.value)


def offset_of(committed: TopicPartition | None) -> tuple[int, str | None]:
    assert committed is not None
    return committed.offset, committed.metadata


def test_what_is_committed_is_the_first_offset_not_done() -> None:
    ledger = Ledger(PLACE, 10, 1)
    assert ledger.due() is None, "nothing has begun"
    for offset in (10, 11, 13):  # there is none at 12: a transaction's mark
        assert ledger.take(offset, None) == 1
    assert offset_of(ledger.due()) == (10, "starts=1")
    ledger.done(11)
    assert ledger.due() is None
    ledger.done(10)
    assert offset_of(ledger.due()) == (13, "starts=1")
    ledger.done(13)
    assert offset_of(ledger.due()) == (14, "starts=1")
    assert offset_of(ledger.farewell()) == (14, "starts=0")


def test_the_first_message_carries_the_count_until_it_is_done() -> None:
    ledger = Ledger(PLACE, 10, 5)
    assert [ledger.take(offset, None) for offset in (10, 11)] == [5, 2]
    assert offset_of(ledger.due()) == (10, "starts=5")
    assert offset_of(ledger.farewell()) == (10, "starts=4"), "given back in order it is not blamed"
    ledger.done(10)
    assert not ledger.suspect, "what came after it is not"
    assert offset_of(ledger.due()) == (11, "starts=1")
    assert ledger.take(12, None) == 1


@pytest.fixture
def broker(harnesses: Callable[[str], Harness]) -> Harness:
    harness = harnesses("kafka")
    harness.fresh()
    return harness


def group(harness: Harness) -> Consumer:
    return Consumer(client_settings(harness.url) | {"group.id": GROUP, "enable.auto.commit": False})


async def test_starts_that_failed_are_counted_and_forgotten(broker: Harness) -> None:
    """Ten replicas were killed at the first message, and left that behind."""
    for number in range(40):
        broker.publish(REPORTED, [b"%d" % number])
    client = group(broker)
    places = [TopicPartition(REPORTED, partition) for partition in range(4)]
    client.commit(offsets=[TopicPartition(REPORTED, n, 0, "starts=10") for n in range(4)], asynchronous=False)
    replica = transport(broker.url)
    received: list[RawMessage] = []

    async def handle(messages: Sequence[RawMessage]) -> None:
        received.extend(messages)
        await replica.ack(messages)

    await replica.start(handle)
    await wait_until_async(lambda: len(received) == 40, "all arrive", 20)
    await wait_until_async(lambda: broker.waiting(REPORTED) == 0, "all is committed")
    marks = [one.metadata for one in client.committed(places, timeout=5) if one.offset > 0]
    assert set(marks) == {"starts=1"}
    heads = [message for message in received if message.position.endswith(":0")]
    assert {message.deliveries for message in heads} == {11}
    assert max((m.deliveries for m in received if m not in heads), default=0) <= 2
    await replica.stop(2)
    marks = [one.metadata for one in client.committed(places, timeout=5) if one.offset > 0]
    assert set(marks) == {"starts=0"}
    client.close()


async def test_a_long_wait_holds_what_is_read_and_loses_nothing(
    broker: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("image_moderation.brokers.kafka.reader.HOLD_AFTER", 0.1)
    bodies = {b"%d" % number for number in range(2_000)}
    broker.publish(REPORTED, sorted(bodies))
    replica = transport(broker.url)
    store = asyncio.Event()
    received: list[RawMessage] = []

    async def handle(messages: Sequence[RawMessage]) -> None:
        received.extend(messages)
        await store.wait()
        await replica.ack(messages)

    await replica.start(handle)
    await wait_until_async(lambda: received, "reading begins", 20)
    await asyncio.sleep(1)
    held = len(received)
    assert held <= 400, "a few batches, and no more"
    figures = await replica.figures()
    assert figures.pending == held
    assert figures.lag == 2_000 - held
    store.set()
    await wait_until_async(lambda: len(received) >= 2_000, "reading goes on", 20)
    assert {message.body for message in received} == bodies
    assert len(received) == 2_000, "nothing comes twice"
    await replica.stop(2)
    assert broker.waiting(REPORTED) == 0


async def test_keys(broker: Harness) -> None:
    replica = transport(broker.url)
    letter = DeadLetter(
        RawMessage(REPORTED, "0:1", b"x", headers={"big": "\x01" * 900_000}), DeadLetterReason.NOT_JSON, "no"
    )
    await replica.park([letter])
    async with broker_for(broker.url).open_client(broker.url, GROUP) as client:
        await client.publish([Outgoing("image.blocked", b"{}", "id", "img-42")])
    await replica.stop(1)
    (parked,) = read(broker, "image.dead-letter")
    (blocked,) = read(broker, "image.blocked")
    assert b'"headers":{}' in parked.value(), "headers that no broker would take stay out"
    assert parked.key() != b""
    assert blocked.key() == b"img-42"
    assert blocked.headers() == [("content-type", b"application/cloudevents+json")]


def read(harness: Harness, channel: str) -> list[Any]:
    client = group(harness)
    client.assign([TopicPartition(channel, partition, 0) for partition in range(4)])
    found = client.consume(10, 1)
    client.close()
    return [message for message in found if message.error() is None]


async def test_a_cluster_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("image_moderation.brokers.kafka.topology.PATIENCE", 1)
    replica = transport(f"kafka://me:hidden@127.0.0.1:{free_port()}")

    async def never(messages: Sequence[RawMessage]) -> None:
        raise AssertionError(messages)

    for _ in range(2):
        async with asyncio.timeout(2):
            with pytest.raises(BrokerUnavailable) as caught:
                await replica.start(never)
        assert "hidden" not in str(caught.value)
    async with asyncio.timeout(2):
        await replica.stop(1)
