"""Scripts that a server has lost."""

from redis.asyncio.cluster import RedisCluster

from image_moderation.domain.report import Outcome
from image_moderation.redis_connection import Client
from tests.support.histories import BASE, report
from tests.support.store_backends import (
    IN_A_CLUSTER,
    IN_REDIS,
    LEASE,
    Backend,
    Outbox,
    Store,
    by_image,
    decision,
)


@IN_REDIS
async def test_scripts_that_the_server_lost_are_loaded_again(
    client: Client, backend: Backend, store: Store, outbox: Outbox
) -> None:
    images = [f"img-{number}" for number in range(100)]
    for who, decisions in ((1, 0), (2, 100)):
        await client.script_flush()
        applied = await store.apply([report(f"user-{who}", who, image=image) for image in images])
        assert applied.outcomes == [Outcome.COUNTED] * 100
        assert len(applied.entries) == decisions
    await client.script_flush()
    assert (await store.apply([report("user-3", 3, image="img-0")])).outcomes == [Outcome.ALREADY_BLOCKED]
    backend.now = BASE + LEASE
    await client.script_flush()
    assert len(await outbox.claim_unpublished()) == 100


@IN_A_CLUSTER
async def test_one_node_that_lost_the_scripts_costs_no_reply(client: Client, store: Store) -> None:
    """As after a failover: what the other nodes have done meanwhile is answered all the same."""
    images = [f"img-{number}" for number in range(100)]
    await store.apply([report("user-1", 1, image=image) for image in images])
    assert isinstance(client, RedisCluster)
    node = client.get_node_from_key("moderation:{p00}:outbox")
    await client.execute_command("SCRIPT FLUSH", target_nodes=node)
    applied = await store.apply([report("user-2", 2, image=image) for image in images])
    assert applied.outcomes == [Outcome.COUNTED] * 100
    assert by_image(applied.entries) == [decision(image) for image in sorted(images)]
