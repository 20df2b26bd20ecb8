"""Batches out of single messages."""

import asyncio

from image_moderation.brokers.micro_batches import MicroBatches
from tests.support.servers import wait_until_async


class World:
    """Batches that are worked on until the gate opens."""

    def __init__(self, *, most: int = 10, at_once: int = 2) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()
        self.micro: MicroBatches[int] = MicroBatches(self.work, most=most, at_once=at_once)

    async def work(self, batch: list[int]) -> None:
        self.batches.append(batch)
        await self.gate.wait()

    async def add(self, *items: int) -> None:
        for item in items:
            await self.micro.add(item)


async def test_what_arrives_together_is_one_batch_and_one_alone_does_not_wait_for_more() -> None:
    world = World()
    world.gate.set()
    await world.add(1, 2, 3)
    await wait_until_async(lambda: world.batches == [[1, 2, 3]], "they come together")
    await world.add(4)
    await wait_until_async(lambda: world.batches == [[1, 2, 3], [4]], "it comes alone")
    assert world.micro.held == 0


async def test_so_many_at_once_and_the_rest_gathers_meanwhile() -> None:
    world = World(most=2, at_once=2)
    await world.add(*range(5))
    await wait_until_async(lambda: len(world.batches) == 2, "two batches are worked on")
    await world.add(5, 6)
    assert world.micro.held == 7
    world.gate.set()
    await wait_until_async(lambda: world.micro.held == 0, "all are done")
    assert sorted(item for batch in world.batches for item in batch) == list(range(7))
    assert max(map(len, world.batches)) == 2


async def test_no_batch_is_empty_where_two_workers_wait_for_the_same_items() -> None:
    world = World(most=10, at_once=2)
    world.gate.set()
    await world.add(1)
    await world.add(2)
    await wait_until_async(lambda: world.micro.held == 0, "all are done")
    assert world.batches == [[1, 2]]


async def test_cancelling_gives_up_what_waits_and_what_is_worked_on() -> None:
    world = World(most=1, at_once=1)
    await world.add(1, 2)
    await wait_until_async(lambda: len(world.batches) == 1, "the first is worked on")
    world.micro.cancel()
    await wait_until_async(lambda: world.micro.held == 0, "nothing is left")
    assert world.batches == [[1]]


async def test_what_is_not_chosen_is_given_up() -> None:
    given: list[list[int]] = []
    gate = asyncio.Event()

    async def work(batch: list[int]) -> None:
        given.append(batch)
        await gate.wait()

    batches = MicroBatches(work, most=1, at_once=1)
    for number in (1, 2, 3, 4):
        await batches.add(number)
    await wait_until_async(lambda: given == [[1]], "the first is worked on")
    batches.keep(lambda waiting: [number for number in waiting if number != 3])
    assert batches.held == 3
    gate.set()
    await wait_until_async(lambda: batches.held == 0, "nothing is left")
    assert given == [[1], [2], [4]]


async def test_one_that_comes_as_the_last_worker_ends_is_not_left_lying() -> None:
    given: list[list[int]] = []

    async def work(batch: list[int]) -> None:
        given.append(batch)
        if batch == [1]:
            asyncio.get_running_loop().call_soon(asyncio.ensure_future, batches.add(2))
            await asyncio.sleep(0)

    batches = MicroBatches(work, most=1, at_once=1)
    await batches.add(1)
    await wait_until_async(lambda: given == [[1], [2]], "the second is worked on")
