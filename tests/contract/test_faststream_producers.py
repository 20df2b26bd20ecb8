"""A site that uses FastStream itself: the programs of contracts/clients, and what FastStream does alone."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from faststream.confluent import KafkaBroker
from faststream.nats import NatsBroker
from faststream.rabbit import RabbitBroker
from faststream.redis import RedisBroker

from image_moderation.domain.report import Report
from image_moderation.events.parse import Malformed, parse
from image_moderation.wiring import clock
from tests.support.brokers.replica import World, received
from tests.support.contract_programs import CLIENTS

ADDRESS: dict[str, Callable[[str], dict[str, str]]] = {
    "redis": lambda url: {"REDIS_URL": url},
    "kafka": lambda url: {"KAFKA_BROKERS": url.removeprefix("kafka://")},
    "rabbitmq": lambda url: {"AMQP_URL": url},
    "nats": lambda url: {"NATS_URL": url},
}
"""The environment variable of each program for its broker's address."""


def event(image: str) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": image,
        "source": "/gallery",
        "type": "image.reported.v1",
        "time": "2026-11-23T10:00:00Z",
        "data": {"image_id": image, "reporter_id": "user-7"},
    }


async def publish_plainly(name: str, url: str, *events: Any) -> None:
    """As FastStream does it, told nothing but where a report goes."""
    brokers: dict[str, tuple[type[Any], Any, dict[str, Any]]] = {
        "redis": (RedisBroker, url, {"stream": "image.reported"}),
        "nats": (NatsBroker, url, {"subject": "image.reported"}),
        "kafka": (KafkaBroker, url.removeprefix("kafka://"), {"topic": "image.reported"}),
        "rabbitmq": (RabbitBroker, url, {"exchange": "image-moderation", "routing_key": "image.reported"}),
    }
    make, address, where = brokers[name]
    async with make(address, logger=None) as broker:
        for one in events:
            await broker.publish(one, **where)


async def test_a_site_that_uses_faststream(world: World) -> None:
    name, url = world.harness.name, world.harness.site_url
    replica = await world.replica()
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, str(CLIENTS / "faststream" / f"{name}_producer.py"), "写真", "ann"],
        check=False,
        env=os.environ | ADDRESS[name](url),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    await received(replica, 1)
    report = parse(replica.received[0], clock(), 65_536)
    assert isinstance(report, Report)
    assert (report.image_id, report.reporter_id, report.reason) == ("写真", "ann", "nudity")

    sent = (event("a"), json.dumps(event("b")), json.dumps(event("c")).encode())
    await publish_plainly(name, url, *sent)
    await received(replica, 4)
    if name != "redis":
        found = [parse(message, clock(), 65_536) for message in replica.received[1:]]
        assert sorted(one.image_id for one in found) == ["a", "b", "c"]
        return
    for message in replica.received[1:]:
        with pytest.raises(
            Malformed, match="FastStream's private binary frame is around the body"
        ) as refused:
            parse(message, clock(), 65_536)
        assert refused.value.reason == "not_utf8"
