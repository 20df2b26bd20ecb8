"""A store that answers and refuses: each engine's refusal is told in words, and ends by itself."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from image_moderation.domain.errors import StoreUnavailable
from image_moderation.redis_connection import close, connect
from tests.support.redis_processes import RedisNode
from tests.support.servers import ENGINES, OLDEST, RedisServers
from tests.support.store_backends import Backend, two_reports
from tests.support.waiting import wait_until, wait_until_async

CONFIG, REPLICAOF = ("CONFIG", "SET"), ("REPLICAOF",)
REFUSALS = {
    "the server's memory is full: ": (
        ((*CONFIG, "maxmemory", "1"),),
        ((*CONFIG, "maxmemory", "0"),),
    ),
    "the server takes no writes: ": (
        ((*REPLICAOF, "127.0.0.1", "1"),),
        ((*REPLICAOF, "NO", "ONE"),),
    ),
    "the server takes no writes: NOREPLICAS": (
        ((*CONFIG, "min-replicas-to-write", "1"),),
        ((*CONFIG, "min-replicas-to-write", "0"),),
    ),
    "the server takes no writes: (You can't|Link with|MASTERDOWN)": (
        ((*CONFIG, "replica-serve-stale-data", "no"), (*REPLICAOF, "127.0.0.1", "1")),
        ((*REPLICAOF, "NO", "ONE"), (*CONFIG, "replica-serve-stale-data", "yes")),
    ),
    "the server can't write to its disk: ": (
        ((*CONFIG, "save", "3600 1"), (*CONFIG, "dbfilename", "a-folder"), ("BGSAVE",)),
        ((*CONFIG, "dbfilename", "dump.rdb"), ("SAVE",), (*CONFIG, "save", "")),
    ),
}
"""For the beginning of the line: the commands that make a server refuse, and those that end it."""


@pytest.fixture(params=[*ENGINES, OLDEST])
def node(request: pytest.FixtureRequest, redis_servers: RedisServers, tmp_path: Path) -> Iterator[RedisNode]:
    engine = redis_servers.engine(request.param)
    more = ["enable-protected-configs yes"] if request.param != OLDEST else []
    with RedisNode(engine, tmp_path, *more) as node:
        (node.folder / "a-folder").mkdir()
        yield node


@pytest.fixture
async def backend(node: RedisNode) -> AsyncIterator[Backend]:
    client = connect(node.url)
    yield Backend("redis", node.url, client=client)
    await close(client)


async def test_a_refusal_is_told_in_words(node: RedisNode, backend: Backend) -> None:
    store = backend.redis_store()
    await store.open()
    for number, (line, (begin, end)) in enumerate(REFUSALS.items()):
        for command in begin:
            node.ask(*command)
        if line.startswith("the server can't write"):
            wait_until(
                lambda: node.info("persistence")["rdb_last_bgsave_status"] == "err", "the snapshot has failed"
            )
        if "NOREPLICAS" not in line or node.engine.version > "7":  # of 6.2 a script asks for no replicas
            with pytest.raises(StoreUnavailable, match=f"^{line}"):
                await store.apply(two_reports(f"img-{number}"))
        with pytest.raises(StoreUnavailable, match=f"^{line}"):
            await store.check()
        for command in end:
            node.ask(*command)
        await store.check()
        assert len((await store.apply(two_reports(f"img-{number}"), retried=True)).entries) > 0


@pytest.mark.parametrize("node", ["valkey"], indirect=True)  # others load a small file too quickly
async def test_a_server_that_loads_is_waited_for(node: RedisNode, backend: Backend) -> None:
    store = backend.redis_store()
    await store.open()
    await store.apply([one for n in range(300) for one in two_reports(f"img-{n}")])
    node.ask("SAVE")
    node.kill()
    node.add("key-load-delay 3000", "loading-process-events-interval-bytes 1024")
    node.begin()
    for call in (lambda: store.apply(two_reports()), store.check):
        with pytest.raises(StoreUnavailable, match=r"^the server is loading its data: "):
            await until_it_answers(call)
    node.ask("CONFIG", "SET", "key-load-delay", "0")
    await wait_until_async(lambda: succeeds(store.check), "it has loaded")


async def succeeds(call: Callable[[], Awaitable[object]]) -> bool:
    try:
        await call()
    except StoreUnavailable:
        return False
    return True


async def until_it_answers(call: Callable[[], Awaitable[object]]) -> None:
    """Call until the server listens."""
    deadline = asyncio.get_running_loop().time() + 10
    while asyncio.get_running_loop().time() < deadline:
        try:
            await call()
        except StoreUnavailable as error:
            if not str(error).startswith(("connection refused", "ConnectionError")):
                raise
        await asyncio.sleep(0.01)
