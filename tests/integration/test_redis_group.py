"""What the consumer group's keeper does: claims, parks, trims, tidies, and loses nothing over it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from image_moderation.brokers import port
from image_moderation.brokers.redis import group as redis_group
from image_moderation.brokers.redis.group import Group, raw_message
from image_moderation.redis_connection import connect_one

STREAM, NAME = "image.reported", "image-moderation"


@pytest.fixture
async def redis(any_redis_url: str) -> AsyncIterator[Any]:
    client = connect_one(any_redis_url)
    yield client
    await client.aclose()


@pytest.fixture
async def group(redis: Any, monkeypatch: pytest.MonkeyPatch) -> Group:
    monkeypatch.setattr(port, "REDELIVER_AFTER", 0)
    group = Group(redis, STREAM, NAME, "host-1")
    await group.create()
    return group


async def add(redis: Any, count: int) -> list[str]:
    return [(await redis.xadd(STREAM, {"__data__": f"m{n}"})).decode() for n in range(count)]


async def read(redis: Any, consumer: str, count: int) -> None:
    await redis.execute_command("XREADGROUP", "GROUP", NAME, consumer, "COUNT", count, "STREAMS", STREAM, ">")


async def test_the_backlog_from_before_the_first_start_is_delivered(redis: Any) -> None:
    await add(redis, 3)
    group = Group(redis, STREAM, NAME, "host-1")
    await group.create()
    await group.create()
    assert (await group.figures()).lag == 3


async def test_abandoned_messages_are_claimed_in_one_batch_with_their_deliveries(
    redis: Any, group: Group
) -> None:
    positions = await add(redis, 5)
    await read(redis, "dead-0", 5)
    messages = await group.claim()
    assert [message.position for message in messages] == positions
    assert [message.body for message in messages] == [b"m0", b"m1", b"m2", b"m3", b"m4"]
    assert {message.deliveries for message in messages} == {2}


async def test_what_this_process_has_in_hand_is_not_claimed(redis: Any, group: Group) -> None:
    await add(redis, 2)
    await read(redis, "host-1-0", 2)
    messages = await group.claim()
    with group.in_hand(messages):
        assert await group.claim() == []
    assert len(await group.claim()) == 2


async def test_often_delivered_messages_are_claimed_one_by_one(redis: Any, group: Group) -> None:
    """Else one message that kills its reader would raise the count of all that are claimed with it."""
    positions = await add(redis, 3)
    await read(redis, "dead-0", 3)
    for _ in range(2):
        await group.claim()
    first = await group.claim()
    assert [(message.position, message.deliveries) for message in first] == [(positions[0], 4)]
    with group.in_hand(first):
        second = await group.claim()
    assert [(message.position, message.deliveries) for message in second] == [(positions[1], 4)]


async def test_a_pending_message_that_somebody_deleted_is_let_go(redis: Any, group: Group) -> None:
    positions = await add(redis, 2)
    await read(redis, "dead-0", 2)
    await redis.xdel(STREAM, positions[0])
    assert [message.position for message in await group.claim()] == positions[1:]
    await group.ack(positions[1:])
    assert (await group.figures()).pending == 0


async def test_trimming_keeps_what_any_group_has_not_acked(redis: Any, group: Group) -> None:
    positions = await add(redis, 10)
    await redis.xgroup_create(STREAM, "another", id="0")
    await read(redis, "host-1-0", 10)
    await group.ack(positions)
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
    monkeypatch.setattr(redis_group, "CONSUMER_IDLE", 0)
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
