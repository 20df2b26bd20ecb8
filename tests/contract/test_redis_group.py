"""The Redis consumer group: claiming, trimming, removing consumers, and that nothing is lost over it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from image_moderation.brokers.port import Options
from image_moderation.brokers.redis import reader as redis_reader
from image_moderation.brokers.redis import topology
from image_moderation.brokers.redis.messages import raw_message
from image_moderation.brokers.redis.reader import RedisReader
from image_moderation.brokers.redis.topology import Group, ahead_of_clock
from image_moderation.brokers.redis.transport import RedisTransport
from image_moderation.domain.message import RawMessage
from image_moderation.redis_connection import connect_one
from image_moderation.wiring import clock

STREAM, NAME = "image.reported", "image-moderation"


@pytest.fixture
async def redis(any_redis_url: str) -> AsyncIterator[Any]:
    client = connect_one(any_redis_url)
    yield client
    await client.aclose()


@pytest.fixture
async def group(redis: Any) -> Group:
    group = Group(redis, STREAM, NAME, "host-1")
    await group.create()
    return group


@pytest.fixture
async def reader(group: Group, any_redis_url: str) -> AsyncIterator[RedisReader]:
    """The reader of the stream, connected and not reading; it works on a batch until `done`."""
    transport = RedisTransport(
        Options(
            url=any_redis_url,
            group=NAME,
            consumer="host-1",
            batch_size=100,
            clock=clock,
            dead_letter_retention=86_400_000,
            redeliver_after=0,
        )
    )
    await transport.connect()
    yield transport.by_channel[STREAM]
    await transport.close()


@asynccontextmanager
async def in_hand(reader: RedisReader, messages: Sequence[RawMessage]) -> AsyncIterator[None]:
    """Meanwhile the reader works on these messages."""
    done = asyncio.Event()

    async def handle(_: Sequence[RawMessage]) -> None:
        await done.wait()

    reader.handler = handle
    work = asyncio.create_task(reader.work_on(messages))
    await asyncio.sleep(0)
    yield
    done.set()
    await work


async def add(redis: Any, count: int) -> list[str]:
    return [(await redis.xadd(STREAM, {"__data__": f"m{n}"})).decode() for n in range(count)]


async def read(redis: Any, consumer: str, count: int) -> None:
    await redis.execute_command("XREADGROUP", "GROUP", NAME, consumer, "COUNT", count, "STREAMS", STREAM, ">")


async def pending(redis: Any) -> list[bytes]:
    found = await redis.xpending_range(STREAM, NAME, min="-", max="+", count=100)
    return [one["message_id"] for one in found]


async def test_the_backlog_from_before_the_first_start_is_delivered(redis: Any) -> None:
    await add(redis, 3)
    group = Group(redis, STREAM, NAME, "host-1")
    await group.create()
    await group.create()
    assert (await group.figures()).lag == 3


async def test_abandoned_messages_are_claimed_in_one_batch_with_their_deliveries(
    redis: Any, reader: RedisReader
) -> None:
    positions = await add(redis, 5)
    await read(redis, "dead-0", 5)
    messages = await reader.claim()
    assert [message.position for message in messages] == positions
    assert [message.body for message in messages] == [b"m0", b"m1", b"m2", b"m3", b"m4"]
    assert {message.deliveries for message in messages} == {2}


async def test_what_this_process_has_in_hand_is_not_claimed(redis: Any, reader: RedisReader) -> None:
    await add(redis, 2)
    await read(redis, "host-1-0", 2)
    messages = await reader.claim()
    async with in_hand(reader, messages):
        assert await reader.claim() == []
    assert len(await reader.claim()) == 2


async def test_what_this_process_is_slow_with_is_kept_from_others(
    redis: Any, reader: RedisReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_reader, "KEEP_FROM", 0)
    await add(redis, 3)
    await read(redis, "host-1-0", 3)
    # As if they had been in hand for ten minutes; one is of a reader that died.
    await redis.xclaim(STREAM, NAME, "host-1-0", 0, await pending(redis), idle=600_000, justid=True)
    messages = await reader.claim()
    await redis.xclaim(STREAM, NAME, "host-1-0", 0, await pending(redis), idle=600_000, justid=True)
    async with in_hand(reader, messages[:2]):
        await reader.keep()
        left = await redis.xpending_range(STREAM, NAME, min="-", max="+", count=10, idle=300_000)
        assert [one["message_id"].decode() for one in left] == [messages[2].position]
        deliveries = await redis.xpending_range(STREAM, NAME, min="-", max="+", count=10)
        assert {one["times_delivered"] for one in deliveries} == {2}, "keeping counts no delivery"


async def test_often_delivered_messages_are_claimed_one_by_one(redis: Any, reader: RedisReader) -> None:
    """Else one message that kills its reader would raise the count of all that are claimed with it."""
    positions = await add(redis, 3)
    await read(redis, "dead-0", 3)
    for _ in range(2):
        await reader.claim()
    first = await reader.claim()
    assert [(message.position, message.deliveries) for message in first] == [(positions[0], 4)]
    async with in_hand(reader, first):
        second = await reader.claim()
    assert [(message.position, message.deliveries) for message in second] == [(positions[1], 4)]


async def test_a_pending_message_that_somebody_deleted_is_let_go(
    redis: Any, group: Group, reader: RedisReader
) -> None:
    positions = await add(redis, 2)
    await read(redis, "dead-0", 2)
    await redis.xdel(STREAM, positions[0])
    assert [message.position for message in await reader.claim()] == positions[1:]
    await redis.xack(STREAM, NAME, *positions[1:])
    assert (await group.figures()).pending == 0


async def test_trimming_keeps_what_any_group_has_not_acked(redis: Any, group: Group) -> None:
    positions = await add(redis, 10)
    await redis.xgroup_create(STREAM, "another", id="0")
    await read(redis, "host-1-0", 10)
    await redis.xack(STREAM, NAME, *positions)
    assert await group.trim() == 0, "the other group has read nothing"

    await redis.execute_command("XREADGROUP", "GROUP", "another", "c", "COUNT", 6, "STREAMS", STREAM, ">")
    await redis.xack(STREAM, "another", *positions[:3], positions[4])
    assert await group.trim() == 3, "up to the other group's oldest pending entry"
    left = [position.decode() for position, _ in await redis.xrange(STREAM)]
    assert left == positions[3:]

    await redis.xack(STREAM, "another", *positions[:6])
    await group.trim()
    left = [position.decode() for position, _ in await redis.xrange(STREAM)]
    assert set(positions[6:]) <= set(left)
    assert len(left) <= 5


async def test_trimming_a_stream_that_is_not_there_is_harmless(redis: Any, group: Group) -> None:
    await redis.delete(STREAM)
    assert await group.trim() == 0
    await group.remove_idle_consumers()
    await group.leave()


async def test_only_idle_consumers_that_own_nothing_are_removed(
    redis: Any, group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add(redis, 1)
    await read(redis, "owner", 1)
    await redis.xgroup_createconsumer(STREAM, NAME, "idle")
    await group.remove_idle_consumers()
    assert {c["name"] for c in await redis.xinfo_consumers(STREAM, NAME)} == {b"owner", b"idle"}
    monkeypatch.setattr(topology, "CONSUMER_IDLE", 0)
    await group.remove_idle_consumers()
    assert {c["name"] for c in await redis.xinfo_consumers(STREAM, NAME)} == {b"owner"}


async def test_leaving_removes_this_processs_consumers_alone(redis: Any, group: Group) -> None:
    for consumer in ("host-1-0", "host-1-reclaim", "host-10-0"):
        await redis.xgroup_createconsumer(STREAM, NAME, consumer)
    await group.leave()
    assert {c["name"] for c in await redis.xinfo_consumers(STREAM, NAME)} == {b"host-10-0"}


@pytest.mark.parametrize(
    ("fields", "body", "headers"),
    [
        ([b"__data__", b"x"], b"x", {}),
        ([b"data", b"x"], b"x", {}),
        ([b"traceparent", b"00-1", b"__data__", b"x"], b"x", {"traceparent": "00-1"}),
        ([b"__data__", b"x", b"data", b"y"], b"x", {"data": "y"}),
        ([b"other", b"caf\xc3\xa9"], b"", {"other": "café"}),
        ([b"other", b"\xff"], b"", {"other": "\\xff"}),
    ],
)
def test_an_entry_becomes_a_message(fields: list[bytes], body: bytes, headers: dict[str, str]) -> None:
    message = raw_message(STREAM, b"1795500000000-7", fields)
    assert (message.body, dict(message.headers)) == (body, headers)
    assert (message.position, message.arrived) == ("1795500000000-7", 1_795_500_000_000)


async def test_the_figures_of_a_group_under_way(redis: Any, group: Group) -> None:
    await add(redis, 3)
    assert await group.figures() == (3, 0, 0.0)
    await read(redis, "host-1-0", 2)
    lag, pending, age = await group.figures()
    assert (lag, pending) == (1, 2)
    assert 0 <= age < 5


async def finish(redis: Any, reader: RedisReader, count: int = 100) -> None:
    """The group is given what there is, and acks it."""
    await read(redis, "host-1-0", count)
    messages = await reader.claim()
    await reader.ack(messages)


@pytest.mark.parametrize("trim", ["XTRIM image.reported MAXLEN 3", "XADD image.reported MAXLEN 1 * a b"])
async def test_the_lag_is_0_again_after_a_trim_from_outside(
    redis: Any, group: Group, reader: RedisReader, trim: str
) -> None:
    """Redis 7.0 goes on counting what was deleted, for itself and for whoever scales by it."""
    await add(redis, 10)
    await finish(redis, reader, 4)
    added = 4 if "XADD" not in trim else 1
    await redis.execute_command(*trim.split())
    assert (await group.figures()).lag <= 3
    assert group.deleted >= 3
    deleted = group.deleted
    await finish(redis, reader)
    assert await group.figures() == (0, 0, 0.0)
    await group.correct_lag()
    (found,) = await redis.xinfo_groups(STREAM)
    assert found["lag"] == 0
    await add(redis, added)
    assert (await group.figures()).lag == added
    await finish(redis, reader)
    assert (await group.figures()).lag == 0
    assert group.deleted in {deleted, 6}, "each is told once"


async def test_the_lag_is_0_once_all_is_read_though_the_newest_entry_was_deleted(
    redis: Any, group: Group, reader: RedisReader
) -> None:
    positions = await add(redis, 3)
    await redis.xdel(STREAM, positions[-1])
    await finish(redis, reader)
    await group.trim()
    assert await group.figures() == (0, 0, 0.0)


async def test_how_far_a_stream_is_ahead_of_the_clock(redis: Any, group: Group) -> None:
    await add(redis, 1)
    assert await ahead_of_clock(redis, [STREAM, "image.blocked"]) == {STREAM: 0, "image.blocked": 0}
    now = clock()
    await redis.xadd("image.blocked", {"a": "b"}, id=f"{now + 3_600_000}-0")
    ahead = await ahead_of_clock(redis, [STREAM, "image.blocked"])
    assert ahead == {STREAM: 0, "image.blocked": pytest.approx(3_600_000, abs=5_000)}
