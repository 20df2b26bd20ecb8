"""The Redis broker with several channels: each is read, acked, taken back, trimmed and counted on its own."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any

import pytest

from image_moderation.brokers.port import Figures, Options
from image_moderation.brokers.redis import topology
from image_moderation.brokers.redis import transport as redis_transport
from image_moderation.brokers.redis.transport import RedisTransport
from image_moderation.domain.errors import BrokerUnavailable
from image_moderation.domain.message import RawMessage
from image_moderation.redis_connection import connect_one
from image_moderation.wiring import clock
from tests.support.waiting import stays_true_for_async, wait_until_async

REPORTED, REVIEWED, GROUP = "image.reported", "image.reviewed", "image-moderation"
CHANNELS = {REPORTED: 2, REVIEWED: 1}
BATCH_SIZE = 20


class World:
    """A transport, and all that it hands over."""

    def __init__(self, redis: Any, url: str) -> None:
        self.redis = redis
        self.batches: list[Sequence[RawMessage]] = []
        self.acking = True
        self.going = asyncio.Event()
        self.going.set()
        self.transport = RedisTransport(
            Options(
                url=url,
                group=GROUP,
                consumer="host-1",
                batch_size=BATCH_SIZE,
                clock=clock,
                dead_letter_retention=86_400_000,
                redeliver_after=0,
            )
        )

    async def handle(self, messages: Sequence[RawMessage]) -> None:
        self.batches.append(messages)
        await self.going.wait()
        if self.acking:
            await self.transport.ack(messages)

    async def add(self, channel: str, *bodies: str) -> None:
        for body in bodies:
            await self.redis.xadd(channel, {"__data__": body})

    async def left_by_a_dead_replica(self, channel: str) -> None:
        """All that the channel has is pending with a consumer that is gone."""
        await self.redis.xgroup_create(channel, GROUP, id="0", mkstream=True)
        await self.redis.execute_command("XREADGROUP", "GROUP", GROUP, "dead-0", "STREAMS", channel, ">")

    def seen(self, channel: str) -> list[bytes]:
        return sorted(one.body for batch in self.batches for one in batch if one.channel == channel)

    async def one_lane_reads(self) -> bool:
        """Of each channel: who reads is blocked."""
        clients = await self.redis.info("clients")
        return bool(clients["blocked_clients"] == len(CHANNELS))

    async def nothing_pending(self) -> bool:
        return await self.transport.figures() == (0, 0, 0.0)


@pytest.fixture
async def world(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setattr(redis_transport, "LANES", CHANNELS[REPORTED])
    client = connect_one(redis_url)
    world = World(client, redis_url)
    yield world
    await world.transport.stop(5)
    await client.aclose()


async def test_every_channel_is_read_and_a_batch_is_of_one(world: World) -> None:
    await world.add(REPORTED, "r1", "r2")
    await world.add(REVIEWED, "v1", "v2")
    await world.transport.start(world.handle)
    await wait_until_async(lambda: len(world.seen(REPORTED) + world.seen(REVIEWED)) == 4, "all are read")
    await wait_until_async(world.nothing_pending, "each is acked on its own channel")
    assert (world.seen(REPORTED), world.seen(REVIEWED)) == ([b"r1", b"r2"], [b"v1", b"v2"])
    assert all(len({one.channel for one in batch}) == 1 for batch in world.batches)
    for channel in CHANNELS:
        consumers = await world.redis.xinfo_consumers(channel, GROUP)
        assert [one["name"] for one in consumers] == [b"host-1-0"], "two messages are worth one lane alone"


async def test_lanes_read_side_by_side_only_while_batches_are_worth_it(world: World) -> None:
    """Else each batch would hold one message, and wait for as many others as there are lanes."""
    world.going.clear()
    await world.transport.start(world.handle)
    await world.add(REPORTED, "first")
    await wait_until_async(lambda: len(world.batches) == 1, "it is in hand")
    await world.add(REPORTED, *["more"] * 2 * BATCH_SIZE)
    await stays_true_for_async(lambda: len(world.batches) == 1, 0.3, "nobody reads beside it")
    world.going.set()
    await wait_until_async(world.nothing_pending, "all are acked")
    assert [len(batch) for batch in world.batches] == [1, BATCH_SIZE, BATCH_SIZE]
    consumers = await world.redis.xinfo_consumers(REPORTED, GROUP)
    assert sorted(one["name"] for one in consumers) == [b"host-1-0", b"host-1-1"], "a full one is worth it"
    await wait_until_async(world.one_lane_reads, "one lane reads once the rush is over")


async def test_what_dead_replicas_left_is_taken_back_on_every_channel(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for channel in CHANNELS:
        await world.add(channel, "left")
        await world.left_by_a_dead_replica(channel)
    await world.transport.start(world.handle)
    lag, pending, age = await world.transport.figures()
    assert (lag, pending) == (0, 2)
    assert 0 <= age < 5
    await world.transport.reclaim()
    assert world.seen(REPORTED) == world.seen(REVIEWED) == [b"left"]
    assert {one.deliveries for batch in world.batches for one in batch} == {2}
    assert await world.nothing_pending()
    monkeypatch.setattr(topology, "CONSUMER_IDLE", 0)
    await world.transport.tidy()
    for channel in CHANNELS:
        names = {one["name"] for one in await world.redis.xinfo_consumers(channel, GROUP)}
        assert b"dead-0" not in names
        assert await world.redis.xlen(channel) <= 1, "trimmed up to what was delivered last"


@pytest.mark.parametrize("lost", [REPORTED, REVIEWED])
async def test_readers_of_a_deleted_stream_are_revived(world: World, lost: str) -> None:
    await world.transport.start(world.handle)
    await world.redis.delete(lost)

    async def comes_through() -> bool:
        with suppress(BrokerUnavailable):
            await world.transport.revive()
            await world.add(lost, "again")
        return b"again" in world.seen(lost)

    await wait_until_async(comes_through, "the readers are back", 20)
    (other,) = set(CHANNELS) - {lost}
    await world.add(other, "still")
    await wait_until_async(lambda: b"still" in world.seen(other), "the others never went")


async def test_stopping_works_on_what_was_left_and_leaves_every_group(world: World) -> None:
    world.acking = False
    await world.transport.start(world.handle)
    for channel in CHANNELS:
        await world.add(channel, "m")
    await wait_until_async(lambda: len(world.batches) == 2, "both are in hand")
    world.acking = True
    await world.transport.stop(5)
    assert world.seen(REPORTED) == world.seen(REVIEWED) == [b"m", b"m"]
    for channel in CHANNELS:
        assert await world.redis.xinfo_consumers(channel, GROUP) == []


@pytest.mark.parametrize("command", ["xtrim", "xclaim"])
async def test_a_chore_that_the_user_may_not_do_is_told(world: World, redis_url: str, command: str) -> None:
    """The loops repeat it and log nothing; meanwhile the stream would grow, or messages stay behind."""
    rules = f"on >secret ~* +@all -{command}"
    await world.redis.execute_command("ACL", "SETUSER", "few", "reset", *rules.split())
    world.transport = World(world.redis, redis_url.replace("://", "://few:secret@")).transport
    for channel in CHANNELS:
        await world.add(channel, "left")
        await world.left_by_a_dead_replica(channel)
    await world.transport.start(world.handle)
    for chore in (world.transport.tidy, world.transport.reclaim):
        with suppress(BrokerUnavailable):
            await chore()
    await world.transport.figures()
    assert f"'{command}'" in world.transport.damage().why
    await world.redis.execute_command("ACL", "SETUSER", "few", f"+{command}")
    await world.transport.tidy()
    await world.transport.reclaim()
    await world.transport.figures()
    assert world.transport.damage().why == ""


def test_figures_together() -> None:
    assert Figures.total([Figures(1, 2, 3.0), Figures(10, 20, 0.5)]) == Figures(11, 22, 3.0)


@pytest.mark.parametrize("protocol", [2, 3])
async def test_entries_are_read_in_either_protocol(redis_url: str, protocol: int) -> None:
    world = World(connect_one(redis_url), f"{redis_url}{'&' if '?' in redis_url else '?'}protocol={protocol}")
    try:
        await world.transport.start(world.handle)
        await world.add(REPORTED, "m")
        await wait_until_async(lambda: world.seen(REPORTED) == [b"m"], "it is read")
    finally:
        await world.transport.stop(5)
        await world.redis.aclose()
