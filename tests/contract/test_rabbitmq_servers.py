"""Several RabbitMQ servers in one URL; `tests/faults/test_clusters.py` breaks a cluster under load."""

from collections.abc import Callable

import pytest

from image_moderation.brokers.port import Options
from image_moderation.brokers.registry import broker_for
from tests.support.brokers.harness import Harness
from tests.support.brokers.replica import GROUP, REPORTED, World, again, numbered, received
from tests.support.servers import free_port

pytest.importorskip("aio_pika")


@pytest.fixture
def broker(harnesses: Callable[[str], Harness]) -> Harness:
    harness = harnesses("rabbitmq")
    harness.fresh()
    return harness


async def test_the_next_server_is_taken_where_one_is_away(broker: Harness, world: World) -> None:
    url = broker.url.replace("@", f"@127.0.0.1:{free_port()},")
    replica = await world.replica(start=False)
    replica.transport = broker_for(url).make_transport(
        Options(
            url=url,
            group=GROUP,
            consumer="host",
            batch_size=10,
            clock=lambda: 0,
            dead_letter_retention=86_400_000,
        )
    )
    await again(lambda: replica.transport.start(replica.handle))
    broker.publish(REPORTED, numbered(3))
    await received(replica, 3)
    async with broker_for(url).open_client(url, GROUP) as client:
        await client.publish([])
