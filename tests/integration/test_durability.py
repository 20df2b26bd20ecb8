"""What must have a write before its report is acked: replicas by WAIT, disks by WAITAOF."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import pytest

from image_moderation.domain.errors import Misconfigured, StoreUnavailable
from image_moderation.domain.policy import Policy
from image_moderation.redis_connection import Client, close, connect
from image_moderation.store import durability as durable
from image_moderation.store.durability import Durability
from image_moderation.store.keys import partition_of
from image_moderation.store.redis_outbox import RedisOutbox
from image_moderation.store.redis_store import Lifetimes, RedisStore
from tests.support.histories import BASE
from tests.support.proxy import FaultProxy
from tests.support.redis_processes import RedisNode, replicate
from tests.support.servers import OLDEST, RedisServers
from tests.support.store_backends import two_reports
from tests.support.valkey_cluster import ValkeyCluster
from tests.support.waiting import wait_until_async

ONE, DISK = Durability(replicas=1), Durability(fsync=True)
MISSING = "too few replicas: 0 of 1 have what was written; MODERATION_STORE_MIN_REPLICAS=1 asks for them"
DELAY = 0.15

Start = Callable[..., RedisNode]


class Replica:
    """The store and the outbox of one replica of the service."""

    def __init__(self, client: Client, durability: Durability, now: int) -> None:
        self.client = client
        self.store = RedisStore(
            client,
            prefix="moderation",
            policy=Policy(block_threshold=2),
            lifetimes=Lifetimes(decided=1_000),
            reporter_key=b"a key for tests",
            clock=lambda: BASE,
            durability=durability,
        )
        self.outbox = RedisOutbox(client, prefix="moderation", clock=lambda: now, durability=durability)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durable, "CONFIRMATION_TIMEOUT", 200)


@pytest.fixture
def start(redis_servers: RedisServers, tmp_path: Path) -> Iterator[Start]:
    with ExitStack() as stack:
        yield lambda engine, *lines: stack.enter_context(
            RedisNode(redis_servers.engine(engine), tmp_path, *lines)
        )


@pytest.fixture
async def replica() -> AsyncIterator[Callable[..., Replica]]:
    async with AsyncExitStack() as stack:

        def make(url: str, durability: Durability, now: int = BASE) -> Replica:
            client = connect(url)
            stack.push_async_callback(close, client)
            return Replica(client, durability, now)

        yield make


@pytest.mark.parametrize(
    "engine", ["valkey", *(pytest.param(old, marks=pytest.mark.soak) for old in ("redis", OLDEST))]
)
async def test_nothing_is_confirmed_that_a_replica_does_not_have(
    start: Start, replica: Callable[..., Replica], engine: str
) -> None:
    primary, second = start(engine), start(engine)
    one, other, later = (
        replica(primary.url, ONE),
        replica(primary.url, ONE),
        replica(primary.url, ONE, BASE + 60_000),
    )
    for each in (one, other):
        await each.store.open()
    with pytest.raises(StoreUnavailable) as without:
        await one.store.check()
    assert str(without.value) == MISSING
    replicate(second, primary)
    await one.store.check()
    await one.store.apply(two_reports("first"))
    second.freeze()
    for each in (one, other):
        # The other connection finds everything applied, so that its script writes nothing.
        with pytest.raises(StoreUnavailable, match="0 of 1 have what was written"):
            await each.store.apply(two_reports("second"))
        with pytest.raises(StoreUnavailable, match="0 of 1 have what was written"):
            await each.store.check()
    with pytest.raises(StoreUnavailable, match="0 of 1 have what was written"):
        await later.outbox.claim_unpublished()
    second.thaw()
    applied = await other.store.apply(two_reports("second"), retried=True)
    assert {entry.decision.image_id for entry in applied.entries} == {"second"}
    assert len(await replica(primary.url, ONE, BASE + 120_000).outbox.claim_unpublished()) == 2
    await one.store.check()


@pytest.mark.soak
async def test_a_node_of_a_cluster_has_replicas_of_its_own(
    redis_servers: RedisServers, tmp_path: Path, replica: Callable[..., Replica]
) -> None:
    with ValkeyCluster(tmp_path, redis_servers.engine("valkey"), replicas=1) as cluster:
        one = replica(cluster.url, ONE)
        await one.store.open()
        await one.store.check()
        with cluster.client() as client:
            slot = client.keyslot(b"moderation:{p%02d}:outbox" % partition_of(b"img-1"))
        primary = cluster.primary_of(slot)
        images = [f"img-{n}" for n in range(1, 40)]
        (frozen,) = cluster.replicas[primary]
        frozen.freeze()
        with pytest.raises(StoreUnavailable, match=f"^{primary.address}: too few replicas: 0 of 1"):
            await one.store.apply([one for image in images for one in two_reports(image)])
        with pytest.raises(StoreUnavailable, match=f"^{primary.address}: too few replicas: 0 of 1"):
            await one.store.check()
        frozen.thaw()
        applied = await one.store.apply([one for image in images for one in two_reports(image)], retried=True)
        assert {entry.decision.image_id for entry in applied.entries} == set(images)
        # Its slot is elsewhere now, and the client learns where.
        cluster.move(slot, next(node for node in cluster.primaries if node is not primary))
        with pytest.raises(StoreUnavailable, match="MovedError"):
            await one.store.apply(two_reports("img-1"))
        await one.store.apply(two_reports("img-1"))
        await one.store.check()


async def test_the_disk_has_what_is_confirmed(start: Start, replica: Callable[..., Replica]) -> None:
    lazy = start("valkey", "appendonly yes", "appendfsync no")
    slow = replica(lazy.url, DISK)
    await slow.store.open()
    with pytest.raises(StoreUnavailable, match=r"is not on its disk after 0\.2 s; MODERATION_STORE_FSYNC=on"):
        await slow.store.apply(two_reports())
    lazy.ask("CONFIG", "SET", "appendfsync", "always")
    await slow.store.apply(two_reports(), retried=True)
    await slow.store.check()
    both = replica(lazy.url, Durability(replicas=1, fsync=True))
    await both.store.open()
    without_file = start("valkey")
    replicate(without_file, lazy)
    with pytest.raises(StoreUnavailable, match="0 of 1 have what was written on their disks, for which they"):
        await both.store.check()
    without_file.ask("CONFIG", "SET", "appendonly", "yes", "appendfsync", "always")

    async def confirmed() -> bool:
        try:
            await both.store.check()
        except StoreUnavailable:
            return False
        return True

    await wait_until_async(confirmed, "the replica has a file")


@pytest.mark.parametrize(
    ("engine", "lines", "line"),
    [
        (
            "redis",
            ("appendonly yes",),
            "has no WAITAOF; takes Redis 7.2 or newer, or Valkey, or off",
        ),
        (
            OLDEST,
            ("appendonly yes",),
            "has no WAITAOF; takes Redis 7.2 or newer, or Valkey, or off",
        ),
        (
            "valkey",
            (),
            "has appendonly no; takes appendonly yes there, or off",
        ),
    ],
)
async def test_a_store_that_can_not_tell_what_its_disk_has_is_refused(
    start: Start, replica: Callable[..., Replica], engine: str, lines: tuple[str, ...], line: str
) -> None:
    with pytest.raises(Misconfigured) as refused:
        await replica(start(engine, *lines).url, DISK).store.open()
    assert str(refused.value) == f"MODERATION_STORE_FSYNC: got on, but the store {line}"


async def test_a_confirmation_costs_no_round_trip_of_its_own_and_nothing_when_off(
    start: Start, replica: Callable[..., Replica]
) -> None:
    primary, second = start("valkey"), start("valkey")
    replicate(second, primary)
    primary.ask("CONFIG", "RESETSTAT")
    commands = primary.info("commandstats")
    async with FaultProxy(("127.0.0.1", primary.port)) as proxy:
        loop_time = asyncio.get_running_loop().time
        took = {}
        for durability in (Durability(), ONE):
            one = replica(proxy.url, durability)
            await one.store.open()
            await one.store.apply(two_reports("warm"))
            await proxy.delay(DELAY)
            begun = loop_time()
            await one.store.apply(two_reports(f"img-{durability.replicas}"))
            took[durability.replicas] = loop_time() - begun
            await proxy.pass_through()
            if not durability:
                commands = primary.info("commandstats")
    assert "cmdstat_wait" not in commands
    assert all(DELAY <= seconds < 1.8 * DELAY for seconds in took.values())
