"""The connections to Redis, where the client library leaves a gap."""

from typing import Any

import pytest
from redis.exceptions import ConnectionError  # noqa: A004 - the client raises this one, not the built-in

from image_moderation.embedded import EmbeddedRedis
from image_moderation.redis_connection import close, connect_one


async def test_a_connection_that_another_task_closes_breaks_as_any_other(redis_server: EmbeddedRedis) -> None:
    """A Cluster's client closes all connections of a node once one of them breaks, also those in use."""
    client = connect_one(redis_server.url)
    connection: Any = client.connection_pool.make_connection()  # type: ignore[no-untyped-call]

    async def meanwhile() -> None:
        await connection.disconnect(nowait=True)

    await connection.connect()
    connection.check_health = meanwhile
    with pytest.raises(ConnectionError, match="closed meanwhile"):
        await connection.send_command("PING")
    await close(client)
