"""What a process has in hand is bounded in bytes, however many messages wait and however large they are."""

import asyncio

import pytest

from image_moderation.brokers.kafka import reader as kafka_reader
from image_moderation.brokers.reader import MOST_IN_HAND
from tests.support.brokers.replica import BATCH, REPORTED, World, received
from tests.support.waiting import stays_true_for_async, wait_until_async

LARGE = 300_000
COUNT = 1 + MOST_IN_HAND // LARGE + 26


async def bounded(world: World, count: int, size: int, most: int) -> None:
    """Nothing is acked, as while the store is away; then all is worked on."""
    world.harness.publish(REPORTED, [b"%06d" % n + b"x" * (size - 6) for n in range(count)])
    replica = await world.replica(gate=False)

    def in_hand() -> int:
        return sum(message.size for message in replica.received)

    await wait_until_async(lambda: in_hand() >= most // 20, "some are in hand", 30)
    await stays_true_for_async(lambda: in_hand() <= most, 1.5, "no more than the limit is in hand")
    assert len(replica.received) < count
    replica.gate.set()
    await received(replica, count)
    assert len({message.body[:6] for message in replica.received}) == count
    await world.nothing_waits()


@pytest.mark.parametrize("broker", ["redis", "nats", "rabbitmq"], indirect=True)
async def test_large_messages_that_wait(world: World) -> None:
    await bounded(world, COUNT, LARGE, MOST_IN_HAND)


@pytest.mark.parametrize("broker", ["kafka"], indirect=True)
async def test_on_kafka(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a small limit, because the mock cluster keeps only some megabytes."""
    monkeypatch.setattr(kafka_reader, "BATCH_BYTES", 100_000)
    a_batch = 100_000 + kafka_reader.STEP * 20_000
    await bounded(world, 150, 20_000, (kafka_reader.LANES + 1) * a_batch)


@pytest.mark.parametrize("broker", ["rabbitmq"], indirect=True)
async def test_rabbitmq_sends_more_ahead_once_messages_are_small(world: World) -> None:
    world.harness.publish(REPORTED, [b"small"] * 1_000)
    replica = await world.replica()
    await received(replica, 1_000)
    await replica.transport.revive()  # as the service does each second
    replica.gate.clear()
    replica.received.clear()
    world.harness.publish(REPORTED, [b"%d" % n for n in range(1_000)])

    async def all_sent_ahead() -> bool:
        return (await replica.transport.figures()).pending == 3 * BATCH

    await wait_until_async(all_sent_ahead, "three batches are in hand", 30)
    replica.gate.set()
    await received(replica, 1_000)
    await world.nothing_waits()


@pytest.mark.parametrize("broker", ["rabbitmq"], indirect=True)
async def test_rabbitmq_delivers_once_what_differs_in_size(world: World) -> None:
    """While a consumer is cancelled, the server delivers again what is on its way to it."""

    def publish() -> None:
        for part in range(200):
            large = [b"x" * 70_000] if part % 20 == 0 else []
            world.harness.publish(REPORTED, [b"%d-%d" % (part, n) for n in range(25)] + large)

    replica = await world.replica()
    await asyncio.to_thread(publish)  # while the replica reads
    await received(replica, 5_010)
    assert {message.deliveries for message in replica.received} == {1}
    await world.nothing_waits()
