"""The store breaks under load: `/readyz` says what is wrong within five seconds, nothing is lost, and all
goes on by itself.
"""

import asyncio
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from image_moderation.embedded import EmbeddedRedis
from image_moderation.store.keys import Keys
from tests.support.outcome import send
from tests.support.proxy import FaultProxy
from tests.support.redis_processes import RedisNode
from tests.support.servers import ENGINES, RedisServers
from tests.support.store_faults import UnderLoad
from tests.support.waiting import stays_true_for, wait_until

pytestmark = [pytest.mark.soak, pytest.mark.timeout(180)]

OUTBOXES = Keys("moderation").outboxes
DURABLE = ("appendonly yes", "appendfsync always")


@pytest.fixture(params=ENGINES)
def store(request: pytest.FixtureRequest, redis_servers: RedisServers, tmp_path: Path) -> Iterator[RedisNode]:
    """A server of the test's own, beside the broker's."""
    with RedisNode(redis_servers.engine(request.param), tmp_path, *DURABLE) as store:
        yield store


@pytest.fixture
def under_load(store: RedisNode, redis_server: EmbeddedRedis, tmp_path: Path) -> Callable[..., UnderLoad]:
    def undelivered() -> int:
        with store.client() as client:
            return sum(client.zcard(outbox) for outbox in OUTBOXES)

    def broker() -> Any:
        return redis.Redis.from_url(redis_server.url)

    def make(store_url: str = "", **env: str) -> UnderLoad:
        env |= {
            "MODERATION_BROKER_URL": redis_server.url,
            "MODERATION_STORE_URL": store_url or store.url,
        }
        return UnderLoad(tmp_path, broker, env, undelivered=undelivered)

    return make


def begin(load: UnderLoad) -> None:
    wait_until(load.blocks, "work is under way", 30)


def nothing_is_acked(load: UnderLoad) -> None:
    """Once nothing is on its way any more."""
    with load._broker() as client:
        acked = client.info("commandstats").get("cmdstat_xack", {}).get("calls", 0)
        stays_true_for(
            lambda: client.info("commandstats").get("cmdstat_xack", {}).get("calls", 0) == acked,
            1,
            "nothing is acked",
        )


def test_killed_three_times(store: RedisNode, under_load: Callable[..., UnderLoad]) -> None:
    with under_load() as load:
        for _ in range(3):
            begin(load)
            with load.recovery():
                store.kill()
                load.wait_told("connection refused|ConnectionError")
                store.start()
        load.wait_done()
        load.judge(f"store ({store.engine.name}) killed three times, appendfsync always", "redis")


def test_frozen(store: RedisNode, under_load: Callable[..., UnderLoad]) -> None:
    """For longer than the client waits for an answer: what hangs for longer shows nothing more."""
    with under_load() as load:
        begin(load)
        with load.recovery():
            store.freeze()
            load.wait_told("no answer")
            nothing_is_acked(load)
            stays_true_for(lambda: load.tells("no answer"), 6, "it goes on being told")
            store.thaw()
        load.wait_done()
        load.judge(f"store ({store.engine.name}) frozen for 10 s (SIGSTOP)", "redis")


async def test_slow(store: RedisNode, under_load: Callable[..., UnderLoad]) -> None:
    """Everything takes a third of a second: slower is not away."""
    async with FaultProxy(("127.0.0.1", store.port)) as proxy:
        load = under_load(proxy.url)

        def run() -> None:
            begin(load)
            load.wait_done()
            load.service.wait_ready()

        await asyncio.to_thread(load.__enter__)
        try:
            await proxy.delay(0.3)
            await asyncio.to_thread(run)
            assert "not_ready" not in {one["event"] for one in load.service.events()}
            await asyncio.to_thread(load.judge, f"store ({store.engine.name}) slow: 0.3 s a call", "redis")
        finally:
            await asyncio.to_thread(load.__exit__)


def test_out_of_memory(store: RedisNode, under_load: Callable[..., UnderLoad]) -> None:
    with under_load() as load:
        begin(load)
        with load.recovery():
            store.ask("CONFIG", "SET", "maxmemory", 1)
            load.wait_told("^the server's memory is full: ")
            nothing_is_acked(load)
            store.ask("CONFIG", "SET", "maxmemory", 0)
        load.wait_done()
        load.judge(f"store ({store.engine.name}) out of memory (maxmemory, noeviction)", "redis")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of two megabytes, where this user may mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no disk to fill: only root may mount one")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_disk_full(
    redis_servers: RedisServers, small_disk: Path, redis_server: EmbeddedRedis, tmp_path: Path
) -> None:
    lines = ("appendonly yes", "appendfsync everysec", "auto-aof-rewrite-percentage 0")
    filler = small_disk / "filler"
    with RedisNode(redis_servers.engine("valkey"), small_disk, *lines) as store:

        def undelivered() -> int:
            with store.client() as client:
                return sum(client.zcard(outbox) for outbox in OUTBOXES)

        def broker() -> Any:
            return redis.Redis.from_url(redis_server.url)

        env = {"MODERATION_BROKER_URL": redis_server.url, "MODERATION_STORE_URL": store.url}
        with UnderLoad(tmp_path, broker, env, undelivered=undelivered) as load:
            begin(load)
            with load.recovery():
                with filler.open("wb", buffering=0) as file:
                    try:
                        while True:
                            file.write(bytes(4096))
                    except OSError:
                        pass
                load.wait_told("^the server can't write to its disk: MISCONF", within=20)
                nothing_is_acked(load)
                filler.unlink()
            load.wait_done()
            load.judge("store's disk full (tmpfs of 2 MB, appendfsync everysec)", "redis")


def newest_file(store: RedisNode) -> Path:
    """The append-only file that the server writes to: of several since Redis 7."""
    files = [*store.folder.glob("appendonlydir/*.incr.aof"), *store.folder.glob("appendonly.aof")]
    return max(files, key=lambda file: file.stat().st_mtime)


def test_the_tail_of_the_file_is_cut_off(store: RedisNode, under_load: Callable[..., UnderLoad]) -> None:
    """As after a power failure with `appendfsync no`. With another server as broker what was cut off is lost,
    and nothing else. Sent again, it counts.
    """
    with under_load() as load:
        load.wait_done()
        store.kill()
        load.wait_told("connection refused|ConnectionError")
        file = newest_file(store)
        kept = file.stat().st_size // 2 + 7
        os.truncate(file, kept)
        store.add("aof-load-truncated no")
        store.begin()
        wait_until(lambda: store.process.poll() is not None, "it refuses to start", 20)
        assert "Unexpected end of file" in store.log
        load.wait_told("connection refused")
        store.add("aof-load-truncated yes")
        with load.recovery():
            store.start()
        with store.client() as client:
            assert client.dbsize() > 0
        blocked = load.blocks()
        with load._broker() as client:
            send(client, load.messages)
        load.wait_done()
        again = load.blocks()[len(blocked) :]
        images = {image(body) for body in load.blocks()}
        assert images == load.expected.must
        print(f"\n{len(again)} images blocked again, whose block was cut off, of {len(blocked)}")
        assert 0 < len(again) < len(blocked)
        assert len({image(body) for body in again}) == len(again)


def image(body: bytes) -> str:
    return str(json.loads(body)["data"]["image_id"])
