"""What only a real Kafka shows: topics and their options, logins, rights, compaction."""

import asyncio
import json
import os
import shlex
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # exported without saying so
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ConfigResource,
    ConfigSource,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

from image_moderation.brokers.dead_letters import DeadLetters
from image_moderation.brokers.registry import broker_for
from image_moderation.domain.errors import BrokerUnavailable
from image_moderation.domain.message import Outgoing
from image_moderation.events.models import CHANNELS
from tests.support.brokers.harness import Harness
from tests.support.brokers.kafka.access import SCRIPT
from tests.support.brokers.kafka.harness import RealHarness
from tests.support.brokers.kafka.server import KafkaServer, java
from tests.support.brokers.replica import (
    GROUP,
    REPORTED,
    REVIEWED,
    TIMEOUT,
    World,
    again,
    dead_letters,
    numbered,
    received,
)
from tests.support.servers import missing
from tests.support.waiting import wait_until, wait_until_async

DEAD = "image.dead-letter"
AT_ONCE = {"min.cleanable.dirty.ratio": "0.01", "segment.ms": "100", "delete.retention.ms": "100"}
"""Compaction as soon as a segment is closed, and a new segment with the next record."""


@pytest.fixture
def broker(harnesses: Callable[[str], Harness]) -> RealHarness:
    harness = harnesses("kafka")
    if not isinstance(harness, RealHarness):
        missing("kafka")
    harness.fresh()
    return harness


@pytest.fixture
def server(broker: RealHarness) -> KafkaServer:
    return broker.server


def config(broker: RealHarness, topic: str) -> dict[str, str]:
    """Return what was set for this topic alone."""
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    entries: Any = broker.admin.describe_configs([resource])[resource].result(20)
    own = ConfigSource.DYNAMIC_TOPIC_CONFIG.value
    return {name: entry.value for name, entry in entries.items() if entry.source == own}


async def test_the_service_makes_its_topics(broker: RealHarness, world: World) -> None:
    await world.replica(dead_letter_max_bytes=8_000_000)
    topics = broker.admin.list_topics(timeout=10).topics
    partitions = {name: len(topics[name].partitions) for name in CHANNELS}
    assert partitions == dict.fromkeys(CHANNELS, 4) | {DEAD: 1}, "the cluster's default, and one"
    assert config(broker, REPORTED) == {}
    assert config(broker, DEAD) == {
        "cleanup.policy": "compact,delete",
        "retention.ms": "86400000",
        "retention.bytes": "8000000",
        "segment.bytes": "2000000",
    }


async def test_a_topic_that_is_there_stays_as_it_is(broker: RealHarness, world: World) -> None:
    broker.admin.create_topics([NewTopic(REPORTED, 7)])[REPORTED].result(20)
    replica = await world.replica()
    broker.publish(REPORTED, numbered(50))
    await received(replica, 50)
    assert len(broker.admin.list_topics(REPORTED, timeout=10).topics[REPORTED].partitions) == 7


async def test_dead_letters_that_were_purged_are_compacted_away(broker: RealHarness, world: World) -> None:
    broker.admin.create_topics([NewTopic(DEAD, 1, config={"cleanup.policy": "compact", **AT_ONCE})])[
        DEAD
    ].result(20)
    replica = await world.replica()
    await replica.transport.park(dead_letters(20))
    assert broker.kept(DEAD) == 20
    url = broker.commands_url
    async with broker_for(url).open_dead_letters(url, GROUP) as queue:
        dead = DeadLetters(queue)
        stored = await dead.stored()
        assert await dead.redrive(stored[0]) is not None
        assert await dead.purge(stored[1:19]) == 18

    async def gone() -> bool:
        # The segment that is written to is never compacted: later ones must follow.
        await replica.transport.park(dead_letters(1))
        left = {json.loads(found.body)["data"]["position"] for found in broker.read(DEAD)}
        return left == {"place-0", "place-19"}

    await wait_until_async(gone, "the records of those that were purged are gone", TIMEOUT)
    async with broker_for(url).open_dead_letters(url, GROUP) as queue:
        assert len(await DeadLetters(queue).stored()) == 2


# --- logins


@pytest.mark.parametrize(
    ("sasl", "tls"),
    [
        pytest.param("PLAIN", True, marks=pytest.mark.soak),
        pytest.param("SCRAM-SHA-512", False, marks=pytest.mark.soak),
        ("SCRAM-SHA-512", True),
    ],
)
async def test_a_login(broker: RealHarness, world: World, sasl: str, tls: bool) -> None:
    """Every other test logs in by PLAIN in clear text."""
    world.harness = as_service = copy(broker)
    as_service.url = broker.server.url("service", sasl=sasl, tls=tls)
    broker.publish(REPORTED, [b"a"])
    await received(await world.replica(), 1)
    await world.nothing_waits()


@pytest.mark.soak
@pytest.mark.parametrize("sasl", ["PLAIN", "SCRAM-SHA-512"])
async def test_a_wrong_password_is_named(server: KafkaServer, sasl: str) -> None:
    url = server.url("service", sasl=sasl).replace("a%20secret", "hunter2")
    with pytest.raises(BrokerUnavailable, match="authentication failed: ") as refused:
        await publish(url, REPORTED)
    assert "hunter2" not in str(refused.value)


async def publish(url: str, channel: str) -> None:
    async with broker_for(url).open_client(url, GROUP) as client:
        await client.publish([Outgoing(channel, b"{}", key="img")])


async def read(url: str, channel: str) -> bytes:
    async with (
        asyncio.timeout(TIMEOUT),
        broker_for(url).open_client(url, GROUP) as client,
        client.follow([channel], from_start=True) as messages,
    ):
        _, _, body = await anext(messages)
    return body


# --- rights: every other test runs as the service's own user

MAY_PUBLISH = {
    "service": {"image.blocked", "image.unblocked", "image.review-requested", DEAD},
    "producer": {REPORTED},
    "moderator": {REVIEWED},
    "consumer": set(),
    "operator": set(CHANNELS),
    "nobody": set(),
}
MAY_READ = {
    "service": {REPORTED, REVIEWED},
    "consumer": {"image.blocked", "image.unblocked", "image.review-requested"},
    "operator": set(CHANNELS),
}


@pytest.mark.soak
@pytest.mark.parametrize("user", MAY_PUBLISH)
async def test_each_user_can_do_its_work_and_no_more(broker: RealHarness, user: str) -> None:
    for channel in CHANNELS:
        broker.publish(channel, [b"{}"])
    url = broker.server.url(user)

    async def tried(call: Callable[[str, str], Any]) -> set[str]:
        allowed = set()
        for channel in CHANNELS:
            try:
                await call(url, channel)
            except BrokerUnavailable as error:
                assert "permission denied: " in str(error)  # noqa: PT017 - others are allowed
            else:
                allowed.add(channel)
        return allowed

    assert await tried(publish) == MAY_PUBLISH[user]
    assert await tried(read) == MAY_READ.get(user, set())


async def test_a_service_that_may_make_no_topics_says_which_one_is_missing(
    broker: RealHarness, world: World
) -> None:
    broker.publish(REVIEWED, [])
    with without_create(broker):
        replica = await world.replica(start=False)
        with pytest.raises(
            BrokerUnavailable, match=r"the topic image\.reported is missing and could not be made"
        ):
            await replica.transport.start(replica.handle)
        for channel in CHANNELS:
            broker.publish(channel, [])
        broker.publish(REPORTED, [b"a"])
        await again(lambda: replica.transport.start(replica.handle))
        await received(replica, 1)


def rights_of(principal: str | None, operation: AclOperation) -> AclBindingFilter:
    every: Any = None  # which the library takes, though its types do not say so
    pattern, allowed = ResourcePatternType.ANY, AclPermissionType.ANY
    return AclBindingFilter(ResourceType.ANY, every, pattern, principal or every, every, operation, allowed)


@contextmanager
def without_create(broker: RealHarness) -> Iterator[None]:
    """Take away the right to make topics, as for those who have made them themselves."""
    (taken,) = broker.admin.delete_acls([rights_of("User:service", AclOperation.CREATE)]).values()
    rights = taken.result(20)
    assert rights
    try:
        yield
    finally:
        for given in broker.admin.create_acls(rights).values():
            given.result(20)


@pytest.mark.soak
def test_the_script_of_the_rights_with_kafkas_own_tool(server: KafkaServer, tmp_path: Path) -> None:
    tool = tmp_path / "kafka-acls.sh"
    tool.write_text(f'#!/bin/sh\nexec {shlex.join(java("org.apache.kafka.tools.AclCommand"))} "$@"\n')
    tool.chmod(0o755)
    admin = server.admin()
    everything = rights_of(None, AclOperation.ANY)
    (taken,) = admin.delete_acls([everything]).values()
    before = taken.result(20)
    env = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(
        [SCRIPT, "--bootstrap-server", server.servers], env=env, check=True, capture_output=True, timeout=120
    )
    wait_until(lambda: set(admin.describe_acls(everything).result(20)) == set(before), "the same rights", 20)
