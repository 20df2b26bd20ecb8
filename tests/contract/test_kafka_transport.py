"""Kafka's own: its URL, which offsets are committed, and the group while the store is away."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from structlog.testing import capture_logs

from image_moderation.brokers import calls
from image_moderation.brokers.kafka import reader as kafka_reader
from image_moderation.brokers.kafka.connection import client_settings, consumer_settings
from image_moderation.brokers.kafka.messages import PartitionOffsets
from image_moderation.brokers.kafka.reader import HOLD_AFTER
from image_moderation.brokers.port import Options, Transport
from image_moderation.brokers.registry import broker_for
from image_moderation.domain.errors import BrokerUnavailable
from image_moderation.domain.message import DeadLetter, DeadLetterReason, Outgoing, RawMessage
from image_moderation.wiring import clock
from tests.support.brokers import KAFKA_MOCK
from tests.support.brokers.harness import Harness
from tests.support.brokers.kafka.raw import publish_with_header
from tests.support.brokers.replica import BATCH, GROUP, REPORTED, TIMEOUT, World, again, numbered, received
from tests.support.servers import free_port
from tests.support.waiting import stays_true_for_async, wait_until, wait_until_async

POLL_INTERVAL = {"max.poll.interval.ms": 6_000}
"""The shortest that the session's time allows."""


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
    own = client_settings("kafka+tls://h1?cafile=/ca&certfile=/cert&keyfile=/key")
    assert (own["bootstrap.servers"], own["ssl.ca.location"]) == ("h1:9092", "/ca")
    assert (own["ssl.certificate.location"], own["ssl.key.location"]) == ("/cert", "/key")


def test_what_is_committed_is_the_first_offset_not_finished() -> None:
    offsets = PartitionOffsets(begin=10)
    assert offsets.to_commit(again=True) is None, "nothing was handed out"
    for offset in (10, 11, 13):  # there is none at 12: a transaction's mark
        offsets.hand_out(offset, None)
    assert offsets.next == 14
    assert offsets.to_commit(again=False) == 10
    offsets.finish(11)
    assert offsets.to_commit(again=False) is None, "it has not moved"
    assert offsets.to_commit(again=True) == 10
    offsets.finish(10)
    assert offsets.to_commit(again=False) == 13
    offsets.finish(13)
    assert offsets.to_commit(again=False) == 14
    offsets.finish(13)  # repeating is safe
    assert offsets.to_commit(again=False) is None


@pytest.fixture
def broker(request: pytest.FixtureRequest, harnesses: Callable[[str], Harness]) -> Harness:
    harness = harnesses(getattr(request, "param", "kafka"))
    harness.fresh()
    return harness


def group(harness: Harness) -> Consumer:
    return Consumer(client_settings(harness.site_url) | {"group.id": GROUP, "enable.auto.commit": False})


async def test_a_long_wait_holds_what_is_read_and_loses_nothing(world: World) -> None:
    bodies = numbered(2_000)
    world.harness.publish(REPORTED, bodies)
    replica = await world.replica(gate=False)
    await received(replica, 1)
    await stays_true_for_async(
        lambda: len(replica.received) <= 4 * BATCH, HOLD_AFTER + 1, "a few batches, and no more"
    )
    held = len(replica.received)
    figures = await replica.transport.figures()
    assert figures.pending == held
    assert figures.lag == 2_000 - held
    replica.gate.set()
    await received(replica, 2_000)
    assert sorted(replica.bodies()) == sorted(bodies), "nothing comes twice"
    await replica.transport.stop(2)
    assert world.harness.waiting(REPORTED) == 0


async def test_the_group_goes_on_while_a_replica_waits(world: World) -> None:
    """It gives a part of its share to a new replica, though it can't finish what it has in hand."""
    bodies = set(numbered(2_000))
    world.harness.publish(REPORTED, sorted(bodies))
    waiting = await world.replica(gate=False)
    await received(waiting, 1)
    other = await world.replica()

    def shared() -> bool:
        more = numbered(50, f"more-{len(bodies)}")
        bodies.update(more)
        world.harness.publish(REPORTED, more)
        return bool(other.received)

    await wait_until_async(shared, "the new one gets a share", 30)

    async def shares() -> bool:
        return (await waiting.transport.figures()).pending < len(waiting.received) / 2

    await wait_until_async(shares, "the one that waits has a new share, and little of it in hand", 20)
    waiting.gate.set()
    await wait_until_async(lambda: {*waiting.bodies(), *other.bodies()} == bodies, "reading goes on", TIMEOUT)
    await world.nothing_waits()


@pytest.mark.soak
async def test_a_handler_slower_than_the_poll_interval_keeps_its_share(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is five minutes by default, after which the group excludes a member that has not polled."""
    monkeypatch.setattr(
        kafka_reader, "consumer_settings", lambda options: consumer_settings(options) | POLL_INTERVAL
    )
    world.harness.publish(REPORTED, numbered(1_000))
    replica = await world.replica(gate=False)
    await received(replica, 1)

    async def reads() -> bool:
        await replica.transport.revive()
        return len(replica.received) < 1_000

    await stays_true_for_async(reads, 2.5 * POLL_INTERVAL["max.poll.interval.ms"] / 1000, "it is a member")
    replica.gate.set()
    await received(replica, 1_000)
    assert sorted(replica.bodies()) == sorted(numbered(1_000)), "nothing comes twice"
    await world.nothing_waits()


async def test_a_share_is_read_though_the_cluster_was_slow_to_say_where_the_group_stands(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.harness.publish(REPORTED, numbered(100))
    replica = await world.replica(start=False)
    with monkeypatch.context() as slow:
        slow.setattr(kafka_reader, "TIMEOUT", 0.0001)
        await again(lambda: replica.transport.start(replica.handle))

        async def fails() -> bool:
            try:
                await replica.transport.revive()
            except BrokerUnavailable as error:
                return "committed offsets" in str(error)
            return False

        await wait_until_async(fails, "the share is there, and the group's offsets are not", TIMEOUT)
    await received(replica, 100)
    await world.nothing_waits()


async def test_a_topic_that_was_made_anew_is_read_from_its_beginning(world: World) -> None:
    """The group stands at an offset of the topic before; a partition without a report is put right, too."""
    world.harness.publish(REPORTED, [])  # declares it
    client = group(world.harness)
    client.commit(offsets=[TopicPartition(REPORTED, n, 5_000) for n in range(4)], asynchronous=False)
    client.close()
    bodies = numbered(400)
    producer = Producer(client_settings(world.harness.site_url))
    for number, body in enumerate(bodies):
        producer.produce(REPORTED, body, partition=number % 3)
    assert producer.flush(20) == 0
    with capture_logs() as logs:
        replica = await world.replica()
        await received(replica, 400)
    assert sorted(replica.bodies()) == sorted(bodies)
    restarted = [entry["partition"] for entry in logs if entry["event"] == "partition_restarted"]
    assert sorted(restarted) == [0, 1, 2, 3]
    await world.nothing_waits()


async def test_keys(broker: Harness) -> None:
    for channel in ("image.dead-letter", "image.blocked"):
        broker.publish(channel, [])  # declares it
    replica = transport(broker.url)
    letter = DeadLetter(
        RawMessage(REPORTED, "0:1", b"x", headers={"big": "\x01" * 900_000}), DeadLetterReason.NOT_JSON, "no"
    )
    await replica.park([letter])
    async with broker_for(broker.url).open_client(broker.site_url, GROUP) as client:
        await client.publish([Outgoing("image.blocked", b"{}", "id", "img-42")])
    await replica.stop(1)
    (parked,) = read(broker, "image.dead-letter")
    (blocked,) = read(broker, "image.blocked")
    assert b'"headers":{}' in parked.value(), "headers that find no room stay out"
    assert parked.key() != b""
    assert blocked.key() == b"img-42"
    assert blocked.headers() == [("content-type", b"application/cloudevents+json")]


def read(harness: Harness, channel: str) -> list[Any]:
    client = group(harness)
    try:
        topic = client.list_topics(channel, timeout=TIMEOUT).topics[channel]
        client.assign([TopicPartition(channel, partition, 0) for partition in topic.partitions])
        return wait_until(
            lambda: [one for one in client.consume(10, 0.5) if one.error() is None], "there is one", TIMEOUT
        )
    finally:
        client.close()


async def test_a_cluster_that_is_away() -> None:
    replica = transport(f"kafka://me:hidden@127.0.0.1:{free_port()}")

    async def never(messages: Sequence[RawMessage]) -> None:
        raise AssertionError(messages)

    for _ in range(2):
        async with asyncio.timeout(calls.TIMEOUT + 1):
            with pytest.raises(BrokerUnavailable) as caught:
                await replica.start(never)
        assert "hidden" not in str(caught.value)
    async with asyncio.timeout(2):
        await replica.stop(1)


async def test_a_header_whose_name_is_not_utf8_stops_nothing(world: World) -> None:
    servers = world.harness.site_url.removeprefix("kafka://")
    world.harness.publish(REPORTED, [])  # declares it
    publish_with_header(servers, REPORTED, b"odd", b"name\xff")
    world.harness.publish(REPORTED, [b"after"])
    replica = await world.replica()
    await received(replica, 2)
    assert sorted(replica.bodies()) == [b"after", b"odd"]
    assert {len(message.headers) for message in replica.received} == {0}
    await world.nothing_waits()


@pytest.mark.parametrize("broker", [KAFKA_MOCK], indirect=True)
async def test_the_mock_of_machines_without_the_real_one(broker: Harness, world: World) -> None:
    broker.publish(REPORTED, numbered(200))
    replica = await world.replica()
    await received(replica, 200)
    await world.nothing_waits()
