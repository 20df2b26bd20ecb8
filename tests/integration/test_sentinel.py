"""A store that Sentinels look after is found by the name they give it, under a login of their own."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis
from redis.exceptions import ConnectionError as RedisConnectionError

from image_moderation.embedded import EmbeddedRedis
from image_moderation.redis_connection import close, connect
from tests.support.redis_processes import redis_process
from tests.support.servers import RedisServers

MASTER = "moderation-store"


@pytest.fixture
def watched(
    redis_server: EmbeddedRedis, redis_servers: RedisServers, tmp_path: Path
) -> Iterator[Callable[..., int]]:
    """Starts a Sentinel that watches the test's server; gives its port."""
    with ExitStack() as stack:

        def start(*more: str) -> int:
            monitor = f"sentinel monitor {MASTER} 127.0.0.1 {redis_server.port} 1"
            engine = redis_servers.engine("valkey")
            return stack.enter_context(redis_process(engine, tmp_path, monitor, *more, sentinel=True))

        yield start


async def test_the_master_is_found(watched: Callable[..., int], redis_server: EmbeddedRedis) -> None:
    await put(f"redis+sentinel://127.0.0.1:{watched()}/{MASTER}")
    with redis.Redis.from_url(redis_server.url) as direct:
        assert direct.get("probe") == b"1"


async def test_the_database_of_the_path_is_used(
    watched: Callable[..., int], redis_server: EmbeddedRedis
) -> None:
    await put(f"redis+sentinel://127.0.0.1:{watched()}/{MASTER}/2")
    with (
        redis.Redis.from_url(redis_server.tcp_url) as zero,
        redis.Redis.from_url(f"{redis_server.tcp_url}/2") as two,
    ):
        assert (zero.get("probe"), two.get("probe")) == (None, b"1")


async def test_sentinels_have_a_login_of_their_own(watched: Callable[..., int]) -> None:
    port = watched("user default off", "user watcher on >w@tch allchannels +@all")
    url = f"redis+sentinel://127.0.0.1:1,127.0.0.1:{port}/{MASTER}"
    await put(f"{url}?sentinel_username=watcher&sentinel_password=w%40tch")
    for login, why in {
        "": "login refused: ",
        "?sentinel_username=watcher&sentinel_password=wr0ng": "login refused: invalid username-password",
    }.items():
        with pytest.raises(RedisConnectionError) as refused:
            await put(url + login)
        text = str(refused.value)
        assert f"127.0.0.1:{port} - " in text
        assert why in text[:200], "where /readyz cuts it off"
        assert "wr0ng" not in text
    with pytest.raises(RedisConnectionError, match="No master found for 'other'"):
        await put(f"{url.replace(MASTER, 'other')}?sentinel_username=watcher&sentinel_password=w%40tch")


async def put(url: str) -> None:
    client = connect(url)
    try:
        await client.set("probe", "1", px=60_000)
    finally:
        await close(client)
