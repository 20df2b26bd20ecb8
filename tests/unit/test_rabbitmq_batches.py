"""RabbitMQ delivers single messages: how the reader makes batches and acks in bulk, without a server."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from aiormq import spec
from aiormq.abc import DeliveredMessage
from pamqp.header import ContentHeader

from image_moderation.brokers.port import Options
from image_moderation.brokers.rabbitmq.messages import Batch, decode_batch
from image_moderation.brokers.rabbitmq.reader import DoneTags, RabbitmqReader
from image_moderation.brokers.reader import Handler, parse_batch
from image_moderation.domain.message import RawMessage
from image_moderation.events.models import REPORTED_CHANNEL
from image_moderation.wiring import clock
from tests.support.waiting import wait_until_async

BATCH = 3
LANES = 2


class Subscriber:
    """Calls the handler with a decoded batch, as FastStream's subscriber does once it is connected."""

    def __call__(self, handler: Handler) -> None:
        self._handler = handler

    def schema(self) -> None:
        """There is nothing to build."""

    async def process_message(self, msg: Batch) -> None:
        await self._handler(await decode_batch(await parse_batch(msg)))


class World:
    """A reader whose batches are worked on until the gate opens."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()
        options = Options(
            url="amqp://127.0.0.1:1",
            group="some-group",
            consumer="host",
            batch_size=BATCH,
            clock=clock,
            dead_letter_retention=1,
        )
        self.reader = RabbitmqReader(REPORTED_CHANNEL, Subscriber(), options)

    async def handle(self, messages: Sequence[RawMessage]) -> None:
        self.batches.append([int(message.body) for message in messages])
        await self.gate.wait()

    async def deliver(self, *numbers: int) -> None:
        channel: Any = None
        for number in numbers:
            body = b"%d" % number
            delivery = spec.Basic.Deliver("some-consumer", number, False, "some-exchange", "some-key")
            await self.reader.take(DeliveredMessage(delivery, ContentHeader(body_size=1), body, channel))

    async def start(self) -> None:
        self.reader.start(self.handle)
        await asyncio.sleep(0)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    await world.reader.cancel()


async def test_what_arrives_together_is_one_batch_and_one_alone_does_not_wait_for_more(world: World) -> None:
    world.gate.set()
    await world.start()
    await world.deliver(1, 2)
    await wait_until_async(lambda: world.batches == [[1, 2]], "they come together")
    await world.deliver(3)
    await wait_until_async(lambda: world.batches == [[1, 2], [3]], "it comes alone")
    assert world.reader.pending == 0


async def test_only_a_batch_that_is_not_full_waits_for_more(world: World) -> None:
    await world.deliver(*range(BATCH + 1))
    full = asyncio.create_task(world.reader.next_batch(0))
    await asyncio.sleep(0)
    assert full.done()
    rest = asyncio.create_task(world.reader.next_batch(0))
    await asyncio.sleep(0)
    assert not rest.done()
    await world.deliver(BATCH + 1)
    batch = await rest
    assert batch is not None
    assert [int(message.body) for message in batch.messages] == [BATCH, BATCH + 1]


async def test_each_lane_works_on_one_batch_and_the_rest_gathers_meanwhile(world: World) -> None:
    await world.start()
    await world.deliver(*range(LANES * BATCH + 1))
    await wait_until_async(lambda: len(world.batches) == LANES, "each lane has a batch")
    await world.deliver(LANES * BATCH + 1)
    assert world.reader.pending == LANES * BATCH + 2
    world.gate.set()
    await wait_until_async(lambda: world.reader.pending == 0, "all are done")
    assert sorted(map(len, world.batches)) == [2, BATCH, BATCH]
    assert sorted(number for batch in world.batches for number in batch) == list(range(LANES * BATCH + 2))


async def test_no_batch_is_empty_where_two_lanes_wait_for_the_same_messages(world: World) -> None:
    world.gate.set()
    await world.start()
    await world.deliver(1)
    await world.deliver(2)
    await wait_until_async(lambda: world.batches and world.reader.pending == 0, "all are done")
    assert world.batches == [[1, 2]]


async def test_one_that_comes_as_a_batch_ends_is_not_left_lying(world: World) -> None:
    async def handle(messages: Sequence[RawMessage]) -> None:
        await world.handle(messages)
        if len(world.batches) == 1:
            asyncio.get_running_loop().call_soon(asyncio.ensure_future, world.deliver(2))
            await asyncio.sleep(0)

    world.gate.set()
    world.reader.start(handle)
    await world.deliver(1)
    await wait_until_async(lambda: world.batches == [[1], [2]], "both are worked on")


async def test_cancelling_gives_up_what_waits_and_what_is_worked_on(world: World) -> None:
    await world.start()
    await world.deliver(*range(LANES * BATCH + 1))
    await wait_until_async(lambda: len(world.batches) == LANES, "each lane has a batch")
    await world.reader.cancel()
    assert not world.reader.in_hand
    assert len(world.batches) == LANES


async def test_draining_finishes_what_is_worked_on_and_takes_no_more(world: World) -> None:
    await world.start()
    await world.deliver(*range(BATCH))
    await wait_until_async(lambda: len(world.batches) == 1, "a lane has a batch")
    await world.deliver(BATCH)
    draining = asyncio.create_task(world.reader.drain())  # while the other lane waits for more
    await asyncio.sleep(0)
    world.gate.set()
    await draining
    assert world.batches == [list(range(BATCH))]
    assert not world.reader.in_hand
    assert world.reader.pending == 1, "it is delivered again once the channel is closed"


@pytest.mark.parametrize(
    ("done", "acked"),
    [
        ([[1, 2], [3]], [2, 3]),
        ([[3, 4], [1], [2]], [0, 1, 4]),
        ([[2], [1, 3], [3]], [0, 3, 0]),
    ],
)
def test_acks_reach_up_to_the_first_message_that_is_not_done(done: list[list[int]], acked: list[int]) -> None:
    tags = DoneTags()
    assert [tags.add(some) for some in done] == acked
