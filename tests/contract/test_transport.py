"""The interface of every transport, on the real broker. `Harness.features` says where brokers differ."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import Callable, Sequence
from contextlib import suppress

import pytest
from structlog.testing import capture_logs

from image_moderation.brokers.dead_letters import DeadLetters
from image_moderation.brokers.registry import broker_for
from image_moderation.domain.errors import BrokerUnavailable, Unsupported
from image_moderation.domain.message import Outgoing, RawMessage
from image_moderation.wiring import clock
from tests.support.brokers.replica import (
    BATCH,
    BLOCKED,
    GROUP,
    REPORTED,
    REVIEWED,
    TIMEOUT,
    Replica,
    World,
    again,
    dead_letters,
    numbered,
    publications,
    received,
)
from tests.support.service_process import ROOT
from tests.support.waiting import stays_true_for_async, wait_until_async


async def test_what_was_there_before_the_first_start_is_read(world: World) -> None:
    bodies = numbered(3 * BATCH)
    world.harness.publish(REPORTED, bodies)
    world.harness.publish(REVIEWED, [b"verdict"])
    replica = await world.replica()
    await received(replica, len(bodies) + 1)
    assert sorted(replica.bodies()) == sorted([*bodies, b"verdict"])
    assert {message.deliveries for message in replica.received} == {1}
    await world.nothing_waits()
    await world.nothing_waits(REVIEWED)


async def test_a_batch_is_of_one_channel_and_bounded(world: World) -> None:
    world.harness.publish(REPORTED, numbered(6 * BATCH))
    world.harness.publish(REVIEWED, numbered(BATCH))
    replica = await world.replica()
    await received(replica, 7 * BATCH)
    assert all(len({message.channel for message in batch}) == 1 for batch in replica.batches)
    assert max(map(len, replica.batches)) <= BATCH
    assert len(replica.batches) < 2 * BATCH, "they come in batches"


async def test_any_bytes_are_handed_through(world: World) -> None:
    bodies = [b"\xff\xfe", b'{"good": 1}', b"{", b"\x00", b"", '"写真"'.encode(), b" " * 70_000]
    world.harness.publish(REPORTED, bodies)
    replica = await world.replica()
    await received(replica, len(bodies))
    assert sorted(replica.bodies()) == sorted(bodies)
    await world.nothing_waits()


async def test_headers_come_along(world: World) -> None:
    world.harness.publish(REPORTED, [b"{}"], {"ce-test": "写真", "traceparent": "00-1-2-01"})
    world.harness.publish(REPORTED, [b"bare"])
    replica = await world.replica()
    await received(replica, 2)
    (with_headers,) = (message for message in replica.received if message.body == b"{}")
    assert with_headers.headers["ce-test"] == "写真"
    assert with_headers.headers["traceparent"] == "00-1-2-01"


async def test_each_message_has_its_place_and_time(world: World) -> None:
    before = clock()
    world.harness.publish(REPORTED, [b"same", b"same", b"other"])
    replica = await world.replica()
    await received(replica, 3)
    features = world.harness.features
    positions = {message.position for message in replica.received}
    assert len(positions) == 3 or not features.own_position
    for message in replica.received:
        if features.stamps_arrival:
            assert message.arrived is not None
            assert before - 1_000 <= message.arrived <= clock() + 1_000
        else:
            assert message.arrived is None


async def test_nothing_is_acked_before_it_is_done(world: World) -> None:
    world.harness.publish(REPORTED, numbered(10))
    replica = await world.replica(gate=False)
    await received(replica, 1)
    # Longer than a message may go without an ack.
    await stays_true_for_async(lambda: world.harness.waiting(REPORTED) == 10, 1.5, "nothing is acked")
    figures = await replica.transport.figures()
    assert figures.lag + figures.pending == 10
    assert figures.oldest_pending_age > 0
    replica.gate.set()
    await world.nothing_waits()
    assert sorted(set(replica.bodies())) == sorted(numbered(10))


async def test_what_a_dead_reader_left_is_read_by_another(world: World) -> None:
    world.harness.publish(REPORTED, numbered(5))
    first = await killed_reader(world, "dead")
    heir = await world.replica()
    await _reclaim_until(heir, lambda: len(set(heir.bodies())) == 5)
    again = {message.position: message.deliveries for message in heir.received}
    assert {again[position] for position in first} == {2 if world.harness.features.counts_deliveries else 1}
    await world.nothing_waits()


@pytest.mark.parametrize("broker", ["redis", "nats", "rabbitmq"], indirect=True)  # Kafka counts none
async def test_deliveries_are_counted_up_to_the_cap(world: World) -> None:
    assert world.harness.features.counts_deliveries
    world.harness.publish(REPORTED, numbered(1))
    counts = [max((await killed_reader(world, f"dead-{n}")).values()) for n in range(4)]
    assert counts == [1, 2, 3, 4]


async def killed_reader(world: World, name: str) -> dict[str, int]:
    """Kills a replica once it has messages in hand; returns how often each had been delivered by then."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.brokers.reader", world.harness.url, name, cwd=ROOT, stdout=PIPE
    )
    assert process.stdout is not None
    found: dict[str, int] = {}
    try:
        async with asyncio.timeout(TIMEOUT):
            found.update([json.loads(await process.stdout.readline())])
    finally:
        process.kill()
        rest, _ = await process.communicate()
    found.update(json.loads(line) for line in rest.splitlines() if line.startswith(b"["))
    return found


async def _reclaim_until(replica: Replica, done: Callable[[], bool]) -> None:
    """As the service does every other second, but with a handler that may wait for its gate."""

    async def reclaim() -> None:
        while True:
            with suppress(BrokerUnavailable):
                await replica.transport.reclaim()
            await asyncio.sleep(0.1)

    task = asyncio.create_task(reclaim())
    try:
        await wait_until_async(done, "what was left is taken back", TIMEOUT)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("count", [2, 3])
async def test_consumers_share_the_work(world: World, count: int) -> None:
    replicas = [await world.replica() for _ in range(count)]
    wanted: set[bytes] = set()
    seen: set[bytes] = set()

    def shared() -> bool:
        number = len(wanted)
        bodies = [b"%d" % n for n in range(number, number + 50)]
        wanted.update(bodies)
        world.harness.publish(REPORTED, bodies)
        return all(replica.received for replica in replicas)

    await wait_until_async(shared, "each gets a share", TIMEOUT)
    await world.nothing_waits()
    for replica in replicas:
        seen.update(replica.bodies())
    assert seen == wanted


async def test_decisions_are_published_as_they_are(world: World) -> None:
    replica = await world.replica()
    sent = publications(*(f"写真-{number}" for number in range(2 * BATCH)))
    assert list(await replica.transport.publish(sent)) == [True] * len(sent)
    found = [one.body for one in world.harness.read(BLOCKED)]
    assert sorted(found) == sorted(one.message.body for one in sent)
    assert list(await replica.transport.publish(sent)) == [True] * len(sent)
    times = 1 if world.harness.features.keeps_repeats_out else 2
    assert len(world.harness.read(BLOCKED)) == times * len(sent)


async def test_what_nobody_is_bound_for(world: World) -> None:
    replica = await world.replica()
    world.harness.unbind(BLOCKED)
    takes = not world.harness.features.refuses_unroutable
    assert list(await replica.transport.publish(publications("a"))) == [takes]
    world.harness.bind(BLOCKED)
    assert list(await replica.transport.publish(publications("b"))) == [True]


async def test_dead_letters_are_parked_found_redriven_and_removed(world: World) -> None:
    replica = await world.replica()
    await replica.transport.park(dead_letters(3))
    await replica.transport.park(dead_letters(1))  # once more, as after a crash
    assert len({one.body for one in world.harness.read("image.dead-letter")}) in (3, 4)  # or it was dropped
    url = world.harness.commands_url
    async with broker_for(url).open_dead_letters(url, GROUP) as queue:
        dead = DeadLetters(queue)
        stored = await dead.stored()
        assert sorted(one.record.position for one in stored) == ["place-0", "place-1", "place-2"]
        assert await dead.count() >= 3
        by_place = {one.record.position: one for one in stored}
        whole = await dead.whole(by_place["place-1"])
        assert whole is not None
        assert whole.original() == b"\xff1"
        assert await dead.redrive(by_place["place-0"]) is not None
        await received(replica, 1)
        assert (replica.received[0].body, replica.received[0].headers["x-n"]) == (b"\xff0", "0")
        assert await dead.purge([by_place["place-1"]]) == 1
    async with broker_for(url).open_dead_letters(url, GROUP) as queue:
        left = [one.record.position for one in await DeadLetters(queue).stored()]
    assert left == ["place-2"]


async def test_the_command_line_publishes(world: World) -> None:
    url = world.harness.commands_url
    replica = await world.replica()
    async with broker_for(url).open_client(url, GROUP) as client:
        positions = await client.publish([Outgoing(REPORTED, body, key="img") for body in numbered(3)])
    assert len(positions) == 3
    await received(replica, 3)
    assert sorted(replica.bodies()) == numbered(3)


async def test_following_shows_what_comes_and_takes_nothing(world: World) -> None:
    url = world.harness.commands_url
    replica = await world.replica()
    await replica.transport.publish(publications("before"))
    async with (
        broker_for(url).open_client(url, GROUP) as client,
        client.follow([BLOCKED, "image.unblocked"], from_start=False) as messages,
    ):
        await replica.transport.publish(publications("a", "b"))
        async with asyncio.timeout(TIMEOUT):
            shown = [await anext(messages) for _ in range(2)]
    assert sorted(json.loads(body)["data"]["image_id"] for _, _, body in shown) == ["a", "b"]
    assert {channel for channel, _, _ in shown} == {BLOCKED}
    assert len(world.harness.read(BLOCKED)) == 3


async def test_following_from_the_start(world: World) -> None:
    url = world.harness.commands_url
    replica = await world.replica()
    await replica.transport.publish(publications("before"))
    async with broker_for(url).open_client(url, GROUP) as client:
        if not world.harness.features.keeps_what_was_read:
            with pytest.raises(Unsupported):
                async with client.follow([BLOCKED], from_start=True):
                    pass
            return
        async with client.follow([BLOCKED], from_start=True) as messages, asyncio.timeout(TIMEOUT):
            _, _, body = await anext(messages)
    assert json.loads(body)["data"]["image_id"] == "before"


async def test_what_an_operator_deletes_is_made_anew(world: World) -> None:
    replica = await world.replica()
    for round_, what in enumerate(world.harness.features.loses):
        world.harness.publish(REPORTED, [b"before-%d" % round_])
        await received(replica, 1)
        world.harness.lose(what)
        body = b"after-%d" % round_

        async def comes_through(body: bytes = body) -> bool:
            with suppress(BrokerUnavailable):
                await replica.transport.revive()
                world.harness.publish(REPORTED, [body])
            return body in replica.bodies()

        await wait_until_async(comes_through, f"reading goes on after a lost {what}", TIMEOUT)
        replica.received.clear()


async def test_an_error_of_the_handler_is_logged_and_its_batch_comes_again(world: World) -> None:
    world.harness.publish(REPORTED, numbered(3))
    replica = await world.replica(start=False)
    errors: list[Exception] = [ValueError("a bug")]

    async def fail_once(messages: Sequence[RawMessage]) -> None:
        if errors:
            raise errors.pop()
        await replica.handle(messages)

    async def all_are_acked() -> bool:
        with suppress(BrokerUnavailable):
            await replica.transport.revive()
            await replica.transport.reclaim()
        return world.harness.waiting(REPORTED) == 0

    with capture_logs() as logs:
        await again(lambda: replica.transport.start(fail_once))
        await wait_until_async(lambda: not errors, "the handler fails once", TIMEOUT)
        await wait_until_async(all_are_acked, "the batch comes again", TIMEOUT)
    assert set(replica.bodies()) == set(numbered(3))
    assert [one["error"] for one in logs if one["event"] == "reader_restarted"] == ["ValueError: a bug"]


async def test_stopping_finishes_what_is_in_hand(world: World) -> None:
    world.harness.publish(REPORTED, numbered(5))
    replica = await world.replica(gate=False)
    await received(replica, 1)
    stopping = asyncio.create_task(replica.transport.stop(5))
    await asyncio.sleep(0.1)
    replica.gate.set()
    async with asyncio.timeout(6):
        await stopping
    done = set(replica.bodies())
    await wait_until_async(
        lambda: world.harness.waiting(REPORTED) == 5 - len(done), "what was in hand is acked", TIMEOUT
    )


async def test_stopping_does_not_wait_for_ever(world: World) -> None:
    world.harness.publish(REPORTED, numbered(5))
    replica = await world.replica(gate=False)
    await received(replica, 1)
    async with asyncio.timeout(4):
        await replica.transport.stop(1)
    assert world.harness.waiting(REPORTED) == 5


@pytest.mark.parametrize("broker", ["redis", "nats"], indirect=True)  # the others do it by themselves
async def test_the_service_trims_what_all_have_read(world: World) -> None:
    assert world.harness.features.trims
    replica = await world.replica()
    world.harness.publish(REPORTED, numbered(3 * BATCH))
    await received(replica, 3 * BATCH)
    await world.nothing_waits()
    await replica.transport.tidy()
    assert world.harness.kept(REPORTED) <= 1
