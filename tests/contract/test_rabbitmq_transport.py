"""Tests that only RabbitMQ needs: odd properties, returned publications, declarations, acks in bulk."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel
from aiormq import spec
from aiormq.abc import ChannelFrame
from aiormq.exceptions import ChannelNotFoundEntity
from pamqp.body import ContentBody
from pamqp.header import ContentHeader

from image_moderation.brokers.dead_letters import DeadLetters
from image_moderation.brokers.port import Options
from image_moderation.brokers.rabbitmq.client import RabbitmqClient
from image_moderation.brokers.rabbitmq.connection import connected
from image_moderation.brokers.rabbitmq.reader import RabbitmqReader, ReaderState
from image_moderation.brokers.rabbitmq.transport import RabbitmqTransport
from image_moderation.brokers.registry import broker_for
from image_moderation.domain.errors import BrokerUnavailable, Misconfigured
from image_moderation.domain.message import Outgoing, RawMessage
from image_moderation.wiring import clock
from tests.support.brokers.harness import Harness
from tests.support.brokers.replica import (
    BATCH,
    BLOCKED,
    GROUP,
    REPORTED,
    TIMEOUT,
    Replica,
    World,
    dead_letters,
    numbered,
    publications,
    received,
)
from tests.support.waiting import wait_until_async

EXCHANGE, QUEUE = "image-moderation", f"{GROUP}.{REPORTED}"


@pytest.fixture
def broker(harnesses: Callable[[str], Harness]) -> Harness:
    harness = harnesses("rabbitmq")
    harness.fresh()
    return harness


@asynccontextmanager
async def some_channel(world: World) -> AsyncIterator[AbstractChannel]:
    connection = await aio_pika.connect(world.harness.url)
    try:
        yield await connection.channel()
    finally:
        await connection.close()


async def revived(replica: Replica) -> None:
    async def revive() -> bool:
        try:
            await replica.transport.revive()
        except BrokerUnavailable:
            await asyncio.sleep(0.5)  # the service calls it each second
            return False
        return True

    await wait_until_async(revive, "reading goes on", TIMEOUT)


def table(name: bytes, kind: bytes, value: bytes) -> bytes:
    entry = bytes([len(name)]) + name + kind + value
    return struct.pack(">I", len(entry)) + entry


UNDECODABLE = {
    "a content type in Latin-1": (0x8000, b"\x04caf\xe9"),
    "a header's name in Latin-1": (0x2000, table(b"caf\xe9", b"S", struct.pack(">I1s", 1, b"x"))),
    "a header beyond the year 9999": (0x2000, table(b"at", b"T", struct.pack(">Q", 2**60))),
    "a time beyond the year 9999": (0x0040, struct.pack(">Q", 2**60)),
    "an id in Latin-1": (0x0080, b"\x04caf\xe9"),
}
"""The flag and the bytes of a property that the client can't decode."""


class Header(ContentHeader):
    """Whatever bytes some producer's client makes of its properties."""

    def __init__(self, body: bytes, flags: int, properties: bytes) -> None:
        super().__init__(body_size=len(body))
        self._raw = struct.pack(">HxxQH", spec.Basic.frame_id, len(body), flags) + properties

    def marshal(self) -> bytes:
        return self._raw


async def test_no_property_stops_the_reading(world: World) -> None:
    replica = await world.replica()
    bodies = [name.encode() for name in UNDECODABLE]
    async with some_channel(world) as channel:
        protocol: Any = await channel.get_underlay_channel()
        for body, (flags, properties) in zip(bodies, UNDECODABLE.values(), strict=True):
            frames: list[Any] = [
                spec.Basic.Publish(exchange=EXCHANGE, routing_key=REPORTED),
                Header(body, flags, properties),
                ContentBody(body),
            ]
            await protocol.write_queue.put(ChannelFrame.marshall(protocol.number, frames))
        await received(replica, len(bodies))
    assert sorted(replica.bodies()) == sorted(bodies)
    assert {message.deliveries for message in replica.received} == {1}
    await world.nothing_waits()


@pytest.mark.parametrize("count", [50, "many"])
async def test_only_the_server_counts_deliveries(world: World, count: Any) -> None:
    replica = await world.replica()
    async with some_channel(world) as channel:
        exchange = await channel.get_exchange(EXCHANGE)
        message = aio_pika.Message(b"a", headers={"x-delivery-count": count}, message_id="some-id")
        await exchange.publish(message, REPORTED)
    await received(replica, 1)
    assert (replica.received[0].deliveries, replica.received[0].position) == (1, "some-id")


async def test_what_was_in_hand_when_the_connection_broke_comes_once_more(world: World) -> None:
    count = 300  # two batches in hand, one waiting
    world.harness.publish(REPORTED, numbered(count))
    replica = await world.replica(gate=False)
    await wait_until_async(lambda: _pending(replica, count), "all are in hand")
    in_hand = len(replica.received)
    for breaks in (1, 2):
        await _break(replica)
        await revived(replica)
        await wait_until_async(
            lambda: _pending(replica, count + in_hand), f"all are in hand again, break {breaks}"
        )
        await revived(replica)
        assert await _pending(replica, count + in_hand), "what can't be acked is not kept"
    replica.gate.set()
    await received(replica, count + in_hand)
    await world.nothing_waits()
    assert sorted(set(replica.bodies())) == sorted(numbered(count))
    assert len(replica.received) == count + in_hand
    assert max(message.deliveries for message in replica.received) == 3


async def _pending(replica: Replica, count: int) -> bool:
    try:
        return (await replica.transport.figures()).pending == count
    except BrokerUnavailable:
        return False


async def _break(replica: Replica) -> None:
    connection: Any = _reader(replica).connection
    await connection.transport.connection.close()


def _reader(replica: Replica) -> RabbitmqReader:
    assert isinstance(replica.transport, RabbitmqTransport)
    return replica.transport.readers[0]


async def test_a_reader_that_starts_anew_swallows_nothing(world: World) -> None:
    world.harness.publish(REPORTED, numbered(300))
    replica = await world.replica(gate=False)
    await wait_until_async(lambda: _pending(replica, 300), "all are in hand")
    restarting = asyncio.create_task(_reader(replica).restart())
    replica.gate.set()
    await restarting
    await world.nothing_waits()
    assert sorted(set(replica.bodies())) == sorted(numbered(300))


async def test_a_lane_that_died_holds_up_no_acks(world: World) -> None:
    world.harness.publish(REPORTED, numbered(BATCH))
    replica = await world.replica(start=False)
    failures: list[str] = []

    async def fail_once(messages: Sequence[RawMessage]) -> None:
        if not failures:
            failures.append("a defect")
            raise ValueError(failures[0])
        await replica.handle(messages)

    await replica.transport.start(fail_once)
    await wait_until_async(lambda: failures, "a lane dies")
    await asyncio.to_thread(world.harness.publish, REPORTED, numbered(BATCH, "later"))
    await received(replica, BATCH)
    assert world.harness.waiting(REPORTED) == 2 * BATCH, "nothing is acked past what the lane left"
    await revived(replica)
    await world.nothing_waits()
    assert set(replica.bodies()) == {*numbered(BATCH), *numbered(BATCH, "later")}


async def test_a_deleted_queue_stays_missing_until_every_replica_has_noticed(world: World) -> None:
    replicas = [await world.replica(), await world.replica()]
    await asyncio.to_thread(world.harness.lose, "queue")
    for replica in replicas:
        with pytest.raises(BrokerUnavailable, match="its queue was deleted"):
            await replica.transport.revive()
    async with some_channel(world) as channel:
        with pytest.raises(ChannelNotFoundEntity):
            await channel.declare_queue(QUEUE, passive=True)
    for replica in replicas:
        await replica.transport.revive()
    assert await _consumers(world, QUEUE) == 2


async def _consumers(world: World, name: str) -> int:
    async with some_channel(world) as channel:
        queue = await channel.declare_queue(name, passive=True)
        return queue.declaration_result.consumer_count or 0


async def test_a_queue_deleted_while_the_store_is_away_is_read_on(world: World) -> None:
    world.harness.publish(REPORTED, numbered(5))
    replica = await world.replica(gate=False)
    await received(replica, 5)
    await asyncio.to_thread(world.harness.lose, "queue")
    await revived(replica)
    await asyncio.to_thread(world.harness.publish, REPORTED, numbered(300, "after"))
    await revived(replica)
    replica.gate.set()
    await wait_until_async(
        lambda: set(replica.bodies()) >= set(numbered(300, "after")), "what comes after is read", TIMEOUT
    )
    await world.nothing_waits()


async def test_a_look_at_a_reader_finds_its_state(world: World) -> None:
    replica = await world.replica()
    reader = _reader(replica)
    assert [reader.look(waiting) for waiting in (0, 1, 1, 1)] == [ReaderState.HEALTHY] * 3 + [
        ReaderState.STARVED
    ]
    assert reader.look(0) is ReaderState.HEALTHY
    assert reader.look(None) is ReaderState.DELETED
    await _break(replica)
    assert reader.look(1) is ReaderState.LOST
    await revived(replica)
    assert reader.state is ReaderState.HEALTHY


async def test_acks_in_bulk_leave_out_what_is_not_done(world: World) -> None:
    world.harness.publish(REPORTED, numbered(200))
    replica = await world.replica(gate=False)
    await wait_until_async(lambda: len(replica.batches) == 2, "two batches are in hand")
    earlier, later = sorted(replica.batches, key=lambda batch: batch[0].handle.delivery_tag)
    await replica.transport.ack(later)
    assert world.harness.waiting(REPORTED) == 200
    await replica.transport.ack(earlier)
    await wait_until_async(
        lambda: world.harness.waiting(REPORTED) == 200 - len(earlier) - len(later), "both are acked"
    )


async def test_publications_arrive_in_order_and_persistent(world: World) -> None:
    replica = await world.replica()
    sent = publications(*(str(number) for number in range(700)))
    assert all(await replica.transport.publish(sent))
    async with some_channel(world) as channel:
        queue = await channel.get_queue(f"seen.{BLOCKED}")
        found = [await queue.get(no_ack=True) for _ in sent]
    assert [one.message_id for one in found] == [one.message.event_id for one in sent]
    assert {one.content_type for one in found} == {"application/cloudevents+json"}
    assert {one.delivery_mode for one in found} == {aio_pika.DeliveryMode.PERSISTENT}


async def test_a_lost_exchange_is_made_anew(world: World) -> None:
    replica = await world.replica()
    async with some_channel(world) as channel:
        await channel.exchange_delete(EXCHANGE)
    with pytest.raises(BrokerUnavailable):
        await replica.transport.publish(publications("a"))
    await revived(replica)
    world.harness.bind(BLOCKED)
    assert list(await replica.transport.publish(publications("b"))) == [True]
    world.harness.publish(REPORTED, [b"after"])
    await received(replica, 1)


async def test_letters_wait_for_their_queue(world: World) -> None:
    replica = await world.replica()
    world.harness.unbind("image.dead-letter")
    async with some_channel(world) as channel:
        await channel.queue_delete(f"{GROUP}.image.dead-letter")
    alike = [*dead_letters(1), *dead_letters(1)]
    with pytest.raises(BrokerUnavailable):
        await replica.transport.park(alike)
    await revived(replica)
    await replica.transport.park(alike)


@pytest.mark.parametrize("arguments", [{}, {"x-queue-type": "quorum", "x-delivery-limit": 20}])
async def test_a_queue_declared_otherwise_is_refused(world: World, arguments: dict[str, Any]) -> None:
    async with some_channel(world) as channel:
        await channel.declare_queue(QUEUE, durable=True, arguments=arguments)
    replica = await world.replica(start=False)
    with pytest.raises(Misconfigured, match=QUEUE) as refused:
        await replica.start()
    assert "\n" not in str(refused.value)
    async with some_channel(world) as channel:
        await channel.queue_delete(QUEUE)
    await replica.start()


async def test_letters_keep_their_order_when_looked_at(world: World) -> None:
    replica = await world.replica()
    await replica.transport.park(dead_letters(12))
    for _ in range(3):
        assert await _places(world) == [f"place-{number}" for number in range(12)]


async def _places(world: World) -> Sequence[str]:
    url = world.harness.url
    async with broker_for(url).open_dead_letters(url, GROUP) as queue:
        return [one.record.position for one in await DeadLetters(queue).stored()]


async def test_following_ends_with_the_connection(world: World) -> None:
    async with (
        connected(world.harness.url) as connection,
        RabbitmqClient(connection, GROUP).follow([BLOCKED], from_start=False) as seen,
    ):
        assert connection.transport is not None
        await connection.transport.connection.close()
        async with asyncio.timeout(5):
            with pytest.raises(BrokerUnavailable):
                await anext(seen)


async def test_the_command_line_opens_no_channel_for_each_publication(world: World) -> None:
    async with connected(world.harness.url) as connection:
        assert connection.transport is not None
        client = RabbitmqClient(connection, GROUP)
        await client.publish([Outgoing(REPORTED, b"first")])
        channels = len(connection.transport.connection.channels)
        for body in numbered(10):
            await client.publish([Outgoing(REPORTED, body)])
        assert len(connection.transport.connection.channels) == channels
    assert world.harness.waiting(REPORTED) == 11


async def test_a_refused_password_is_not_told(world: World) -> None:
    url = world.harness.url.replace("guest:guest", "guest:wrong-secret")
    transport = broker_for(url).make_transport(
        Options(url=url, group=GROUP, consumer="host", batch_size=1, clock=clock, dead_letter_retention=1)
    )
    with pytest.raises(BrokerUnavailable, match="ACCESS_REFUSED") as refused:
        await transport.start(_nothing)
    assert "wrong-secret" not in str(refused.value)
    await transport.stop(1)


async def _nothing(messages: Sequence[Any]) -> None:
    """Takes none."""


async def test_starting_again_reads_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    replica = await world.replica(start=False)
    assert isinstance(replica.transport, RabbitmqTransport)
    *_, last = replica.transport.readers
    with monkeypatch.context() as patch:
        patch.setattr(last, "restart", _too_late)
        with pytest.raises(BrokerUnavailable):
            await replica.transport.start(replica.handle)
    await replica.start()
    for name in (QUEUE, f"{GROUP}.image.reviewed"):
        assert await _consumers(world, name) == 1
    world.harness.publish(REPORTED, numbered(3))
    await world.nothing_waits()
    assert sorted(replica.bodies()) == numbered(3)


async def _too_late() -> None:
    raise TimeoutError
