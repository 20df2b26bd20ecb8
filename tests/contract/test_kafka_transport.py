"""Kafka's own: its URL, which offsets are committed, reading while the store is away or after a lane died."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from structlog.testing import capture_logs

from image_moderation.brokers.calls import TIMEOUT
from image_moderation.brokers.kafka.connection import client_settings
from image_moderation.brokers.kafka.messages import PartitionOffsets
from image_moderation.brokers.kafka.reader import HOLD_AFTER
from image_moderation.brokers.port import Options, Transport
from image_moderation.brokers.registry import broker_for
from image_moderation.domain.errors import BrokerUnavailable, Misconfigured
from image_moderation.domain.message import DeadLetter, DeadLetterReason, Outgoing, RawMessage
from image_moderation.wiring import clock
from tests.support.brokers.harness import Harness
from tests.support.servers import free_port, wait_until_async

REPORTED, GROUP = "image.reported", "image-moderation"


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
def broker(harnesses: Callable[[str], Harness]) -> Harness:
    harness = harnesses("kafka")
    harness.fresh()
    return harness


def group(harness: Harness) -> Consumer:
    return Consumer(client_settings(harness.url) | {"group.id": GROUP, "enable.auto.commit": False})


class Replica:
    """A transport whose handler fails at `poison`, and else acks once the store is there."""

    def __init__(self, harness: Harness) -> None:
        self.transport = transport(harness.url)
        self.store = asyncio.Event()
        self.poison = b""
        self.received: list[RawMessage] = []

    async def handle(self, messages: Sequence[RawMessage]) -> None:
        if self.poison and any(message.body == self.poison for message in messages):
            raise RuntimeError("poison")
        self.received += messages
        await self.store.wait()
        await self.transport.ack(messages)


@pytest.fixture
async def replicas(broker: Harness) -> AsyncIterator[Callable[[], Awaitable[Replica]]]:
    """Makes a replica that reads."""
    made: list[Replica] = []

    async def replica() -> Replica:
        made.append(Replica(broker))
        await made[-1].transport.start(made[-1].handle)
        return made[-1]

    yield replica
    for one in made:
        one.store.set()
    await asyncio.gather(*(one.transport.stop(2) for one in made))


async def test_a_long_wait_holds_what_is_read_and_loses_nothing(
    broker: Harness, replicas: Callable[[], Awaitable[Replica]]
) -> None:
    bodies = {b"%d" % number for number in range(2_000)}
    broker.publish(REPORTED, sorted(bodies))
    replica = await replicas()
    await wait_until_async(lambda: replica.received, "reading begins", 20)
    await asyncio.sleep(HOLD_AFTER + 1)
    held = len(replica.received)
    assert held <= 400, "a few batches, and no more"
    figures = await replica.transport.figures()
    assert figures.pending == held
    assert figures.lag == 2_000 - held
    replica.store.set()
    await wait_until_async(lambda: len(replica.received) >= 2_000, "reading goes on", 20)
    assert {message.body for message in replica.received} == bodies
    assert len(replica.received) == 2_000, "nothing comes twice"
    await replica.transport.stop(2)
    assert broker.waiting(REPORTED) == 0


async def test_the_group_goes_on_while_a_replica_waits(
    broker: Harness, replicas: Callable[[], Awaitable[Replica]]
) -> None:
    """It gives a part of its share to a new replica, though it can't finish what it has in hand."""
    bodies = {b"%d" % number for number in range(2_000)}
    broker.publish(REPORTED, sorted(bodies))
    waiting = await replicas()
    await wait_until_async(lambda: waiting.received, "reading begins", 20)
    other = await replicas()
    other.store.set()

    def shared() -> bool:
        more = [b"%d" % number for number in range(len(bodies), len(bodies) + 50)]
        bodies.update(more)
        broker.publish(REPORTED, more)
        return bool(other.received)

    await wait_until_async(shared, "the new one gets a share", 30)

    async def shares() -> bool:
        return (await waiting.transport.figures()).pending < len(waiting.received) / 2

    await wait_until_async(shares, "the one that waits has a new share, and little of it in hand", 20)
    waiting.store.set()
    await wait_until_async(
        lambda: {message.body for message in (*waiting.received, *other.received)} == bodies,
        "reading goes on",
        20,
    )
    await wait_until_async(lambda: broker.waiting(REPORTED) == 0, "all is committed", 20)


async def test_a_lane_that_died_is_started_again_and_its_batch_comes_again(
    broker: Harness, replicas: Callable[[], Awaitable[Replica]]
) -> None:
    bodies = {b"%d" % number for number in range(500)}
    replica = await replicas()
    replica.store.set()
    replica.poison = b"7"
    broker.publish(REPORTED, sorted(bodies))
    with capture_logs() as logs:

        async def restarted() -> bool:
            with suppress(BrokerUnavailable):
                await replica.transport.revive()
            return any(entry["event"] == "reader_restarted" for entry in logs)

        await wait_until_async(restarted, "the lane is started again", 20)
    (entry,) = logs
    assert entry["error"] == "RuntimeError: poison"
    replica.poison = b""
    await wait_until_async(lambda: {one.body for one in replica.received} == bodies, "all arrive", 20)
    await wait_until_async(lambda: broker.waiting(REPORTED) == 0, "all is committed", 20)
    await replica.transport.revive()


async def test_a_topic_that_was_made_anew_is_read_from_its_beginning(
    broker: Harness, replicas: Callable[[], Awaitable[Replica]]
) -> None:
    """The group stands at an offset of the topic before."""
    client = group(broker)
    client.commit(offsets=[TopicPartition(REPORTED, n, 5_000) for n in range(4)], asynchronous=False)
    client.close()
    bodies = {b"%d" % number for number in range(400)}
    broker.publish(REPORTED, sorted(bodies))
    with capture_logs() as logs:
        replica = await replicas()
        replica.store.set()
        await wait_until_async(lambda: len(replica.received) >= 400, "all arrive", 20)
    assert {one.body for one in replica.received} == bodies
    restarted = {entry["partition"] for entry in logs if entry["event"] == "partition_restarted"}
    assert restarted == {int(one.position.partition(":")[0]) for one in replica.received}
    await wait_until_async(lambda: broker.waiting(REPORTED) == 0, "all is committed")


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


async def test_a_cluster_that_is_away() -> None:
    replica = transport(f"kafka://me:hidden@127.0.0.1:{free_port()}")

    async def never(messages: Sequence[RawMessage]) -> None:
        raise AssertionError(messages)

    for _ in range(2):
        async with asyncio.timeout(TIMEOUT + 1):
            with pytest.raises(BrokerUnavailable) as caught:
                await replica.start(never)
        assert "hidden" not in str(caught.value)
    async with asyncio.timeout(2):
        await replica.stop(1)
