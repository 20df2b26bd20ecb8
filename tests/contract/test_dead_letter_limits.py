"""What a message with large headers costs, and how many bytes of dead letters are kept, on each broker."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import aio_pika
import pytest
from structlog.testing import capture_logs

from image_moderation.brokers.dead_letters import DeadLetters
from image_moderation.brokers.kafka.topology import Kept
from image_moderation.brokers.rabbitmq.topology import QUEUE_ARGUMENTS
from image_moderation.brokers.registry import broker_for
from image_moderation.domain.message import DeadLetter, DeadLetterReason, RawMessage
from image_moderation.events.dead_letters import DeadLetterRecord, Irrecoverable
from image_moderation.events.parse import Malformed, parse
from image_moderation.wiring import clock
from tests.support.brokers.harness import Harness
from tests.support.brokers.nats import OldNatsHarness
from tests.support.brokers.replica import GROUP, REPORTED, World, received
from tests.support.waiting import wait_until_async

MAX_EVENT_BYTES = 65_536
LIMIT = 2 * 1024 * 1024
LARGE = 100_000
QUEUE = f"{GROUP}.image.dead-letter"
EVENT = (
    b'{"specversion": "1.0", "id": "1", "source": "/gallery", "type": "image.reported.v1", '
    b'"time": "2026-11-23T10:00:00Z", "data": {"image_id": "img", "reporter_id": "user"}}'
)


async def test_headers_count_as_the_body_does(world: World) -> None:
    """Neither is too large alone. A dead letter keeps no header beyond 64 KiB; NATS itself takes none."""
    size, truncated = (60_000, False) if world.harness.name == "nats" else (LARGE, True)
    extra = {"extra": "x" * size}
    body = EVENT + b" " * 10_000
    world.harness.publish(REPORTED, [body], {**extra, "small": "kept"})
    replica = await world.replica()
    await received(replica, 1)
    (message,) = replica.received
    with pytest.raises(Malformed, match="with its headers, at most 65536 are taken") as refused:
        parse(message, clock(), MAX_EVENT_BYTES)
    assert refused.value.reason is DeadLetterReason.TOO_LARGE
    await replica.transport.park([DeadLetter(message, refused.value.reason, str(refused.value))])
    (letter,) = await letters(world)
    assert (letter.body, letter.size, letter.truncated) == (body, len(body), truncated)
    assert letter.headers == {"small": "kept"} | ({} if truncated else extra)
    if truncated:
        with pytest.raises(Irrecoverable, match="its headers were too large"):
            letter.original()


async def letters(world: World) -> list[DeadLetterRecord]:
    url = world.harness.commands_url
    async with broker_for(url).open_dead_letters(url, GROUP) as queue:
        dead = DeadLetters(queue)
        found = [await dead.whole(stored) for stored in await dead.stored()]
    return [one for one in found if one is not None]


async def park(replica: Any, first: int, last: int, size: int = LARGE) -> None:
    for n in range(first, last):
        message = RawMessage(REPORTED, f"place-{n:03}", b"\xff" * size)
        await replica.transport.park([DeadLetter(message, DeadLetterReason.NOT_UTF8, "no")])


@pytest.fixture
def old_nats(tmp_path: Path) -> Any:
    harness = OldNatsHarness(tmp_path)
    yield harness
    harness.close()


async def the_newest_stay(world: World) -> None:
    """Of 40 dead letters of 133 kB, after as many small ones, those stay that fit into 2 MiB."""
    replica = await world.replica(dead_letter_max_bytes=LIMIT)
    with capture_logs() as logs:
        await park(replica, 0, 40, size=10)
        await replica.transport.tidy()
        assert len(await letters(world)) == 40
        await park(replica, 40, 80)

        async def bounded() -> bool:
            await replica.transport.tidy()
            return sum(one.size for one in await letters(world)) < LIMIT

        await wait_until_async(bounded, "the dead letters are within their limit", 30)
    left = [one.position for one in await letters(world)]
    assert 9 <= len(left) <= 15
    assert left == [f"place-{n:03}" for n in range(80 - len(left), 80)]
    dropped = sum(entry["count"] for entry in logs if entry["event"] == "dead_letters_dropped")
    assert dropped in (80 - len(left), 0 if world.harness.name == "rabbitmq" else -1)


@pytest.mark.parametrize("broker", ["redis", "nats", "rabbitmq"], indirect=True)  # Kafka's own, see below
async def test_beyond_the_limit_the_oldest_dead_letters_go(world: World) -> None:
    await the_newest_stay(world)


async def test_on_an_old_nats_server_too(old_nats: Harness) -> None:
    world = World(old_nats)
    try:
        await the_newest_stay(world)
    finally:
        for replica in world.replicas:
            await replica.transport.stop(1)


@pytest.mark.parametrize("broker", ["redis", "nats", "rabbitmq"], indirect=True)
async def test_few_dead_letters_all_stay(world: World) -> None:
    replica = await world.replica(dead_letter_max_bytes=LIMIT)
    await park(replica, 0, 10)
    for _ in range(2):
        await replica.transport.tidy()
    assert len(await letters(world)) == 10


def test_kafkas_topic_has_the_limit() -> None:
    assert Kept(7_000, LIMIT).config == {
        "cleanup.policy": "compact,delete",
        "retention.ms": "7000",
        "retention.bytes": "2097152",
        "segment.bytes": "1048576",
    }
    assert Kept(None, 2**40).config["segment.bytes"] == str(2**30)
    assert Kept().config == {"cleanup.policy": "compact"}


async def test_a_rabbitmq_queue_of_an_earlier_version_stays(harnesses: Callable[[str], Harness]) -> None:
    """The service starts, says once that the limit isn't kept, and parks; the command line reads."""
    harness = harnesses("rabbitmq")
    harness.fresh()
    connection = await aio_pika.connect(harness.url)
    try:
        channel = await connection.channel()
        await channel.declare_queue(QUEUE, durable=True, arguments=dict(QUEUE_ARGUMENTS))
    finally:
        await connection.close()
    world = World(harness)
    with capture_logs() as logs:
        replica = await world.replica(start=False, dead_letter_max_bytes=LIMIT)
        await replica.start()
        for _ in range(3):
            await replica.transport.revive()
    (warning,) = [entry for entry in logs if entry["event"] == "dead_letters_unbounded"]
    assert QUEUE in warning["hint"]
    await park(replica, 0, 3, size=10)
    assert len(await letters(world)) == 3
    await replica.transport.stop(1)
    other = await world.replica(dead_letter_max_bytes=2 * LIMIT)
    assert len(await letters(world)) == 3
    await other.transport.stop(1)
