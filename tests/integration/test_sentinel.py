"""A store that Sentinels look after is found by the name they give it."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from image_moderation.embedded import EmbeddedRedis
from image_moderation.redis_connection import close, connect
from tests.support.servers import RedisServers, free_port
from tests.support.waiting import wait_until

MASTER = "moderation-store"


@pytest.fixture
def sentinel(redis_server: EmbeddedRedis, redis_servers: RedisServers, tmp_path: Path) -> Iterator[int]:
    """A Sentinel that watches the test's server; gives its port."""
    port = free_port()
    config = tmp_path / "sentinel.conf"
    config.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {tmp_path}\n"
        f"sentinel monitor {MASTER} 127.0.0.1 {redis_server.port} 1\n"
    )
    engine = redis_servers.engine("valkey")
    process = subprocess.Popen([engine.path, config, "--sentinel"], stdout=subprocess.PIPE)
    try:
        wait_until(lambda: _answers(port), "the Sentinel answers")
        yield port
    finally:
        process.terminate()
        process.wait(10)
        assert process.stdout is not None
        process.stdout.close()


def _answers(port: int) -> bool:

    with redis.Redis(port=port) as client:
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            return False


async def test_the_master_is_found(sentinel: int, redis_server: EmbeddedRedis) -> None:
    client = connect(f"redis+sentinel://127.0.0.1:{sentinel}/{MASTER}")
    try:
        await client.set("probe", "1", px=60_000)
        direct = connect(redis_server.url)
        assert await direct.get("probe") == b"1"
        await close(direct)
    finally:
        await close(client)
