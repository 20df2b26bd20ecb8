"""What every store does: the one in memory, and the one in Redis on Valkey, Redis and a Valkey Cluster."""

import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, cast
from zlib import crc32

import pytest
from redis.asyncio.cluster import RedisCluster

from image_moderation.domain.case import Case
from image_moderation.domain.decision import (
    Action,
    Applied,
    Decision,
    OutboxEntry,
    Publication,
    State,
    Trigger,
)
from image_moderation.domain.errors import Misconfigured
from image_moderation.domain.message import Outgoing
from image_moderation.domain.policy import Policy
from image_moderation.domain.report import Event, Outcome, Report, Tick, Verdict
from image_moderation.redis_connection import Client, connect
from image_moderation.store.layout import EXTRA
from image_moderation.store.memory_store import MemoryStore
from image_moderation.store.redis_store import LATE_DELIVERY, Lifetimes, RedisStore
from tests.support.histories import BASE, report, retraction
from tests.support.servers import RedisServers, clean
from tests.support.valkey_cluster import ValkeyCluster

KEY = b"a key for tests"
LEASE = 5_000
WINDOW = 60_000
DECIDED_LIFE = 2 * (WINDOW + LATE_DELIVERY)
POLICY = Policy(block_threshold=2, report_window=WINDOW, immunity=1_000)

ODD_IDS = [
    "img-42",
    "grüße/画像/🖼️",
    "{p00}",
    "a{b}c}{",
    ":case:a:outbox:",
    "she said \"no\" \\ 'yes'",
    "new\nline\ttab\x7f",
    "nul\0nul",
    "*?[a-z]",
    " ",
    "x" * 512,
    "漢" * 512,
]


class Store(Protocol):
    """The ports of intake and outbox, and what the app and `inspect` ask besides."""

    async def apply(self, events: Sequence[Event], *, retried: bool = False) -> Applied: ...
    async def claim_withheld_blocks(self, limit: int = 100) -> Sequence[Tick]: ...
    async def claim_unpublished(self, limit: int = 100) -> Sequence[OutboxEntry]: ...
    async def settle(self, entries: Sequence[OutboxEntry]) -> Sequence[bool]: ...
    async def outbox_size(self) -> tuple[int, int | None]: ...
    async def case(self, image_id: str) -> tuple[Case, Sequence[Decision]]: ...


@dataclass
class Backend:
    """One kind of store, empty."""

    name: str
    url: str | None = None
    now: int = BASE
    client: Client | None = None
    policy: Policy = POLICY
    stores: list[Store] = field(default_factory=list)

    def clock(self) -> int:
        return self.now

    def store(self, stream: int | None = None) -> Store:
        """A store as another process would have it; in memory there is one for all."""
        if self.client is None:
            if not self.stores:
                self.stores.append(MemoryStore(policy=self.policy, clock=self.clock, lease=LEASE))
            return self.stores[0]
        return self.redis_store(stream)

    def redis_store(self, stream: int | None = None) -> RedisStore:
        assert self.client is not None
        return RedisStore(
            self.client,
            prefix="moderation",
            policy=self.policy,
            lifetimes=Lifetimes(decided=DECIDED_LIFE, lease=LEASE, stream=stream),
            reporter_key=KEY,
            clock=self.clock,
        )

    async def opened(self, stream: int | None = None) -> Store:
        store = self.store(stream)
        if isinstance(store, RedisStore):
            await store.open()
        return store

    async def seed(self, image: str, case: Case) -> None:
        """Puts a case without records in place, such as a verdict leaves behind."""
        if self.client is None:
            store = self.store()
            assert isinstance(store, MemoryStore)
            store._cases[image] = case
            return
        floor, decided_at = case.floor.to_bytes(6, "little"), case.decided_at.to_bytes(6, "little")
        packed = struct.pack(
            "<B6s6s6sHI6s6s6s6sBBB",
            EXTRA,
            floor,
            b"",
            b"",
            0,
            case.revision,
            decided_at,
            b"",
            b"",
            b"",
            0,
            0,
            0,
        )
        await self.client.set(case_key(image), packed, px=60_000)


def case_key(image: str) -> bytes:
    """As other programs may rely on it."""
    name = image.encode()
    return b"moderation:{p%02d}:case:%s" % (crc32(name) % 64, name)


@pytest.fixture(scope="session")
def valkey_cluster(
    redis_servers: RedisServers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ValkeyCluster]:
    with ValkeyCluster(tmp_path_factory.mktemp("cluster"), redis_servers.engine("valkey")) as cluster:
        yield cluster


@pytest.fixture(params=["memory", "valkey", "redis", "cluster"])
async def backend(
    request: pytest.FixtureRequest, redis_servers: RedisServers, no_key_without_ttl: Callable[[str], None]
) -> AsyncIterator[Backend]:
    kind: str = request.param
    if kind == "memory":
        yield Backend(kind)
        return
    if kind == "cluster":
        cluster: ValkeyCluster = request.getfixturevalue("valkey_cluster")
        url, nodes = cluster.url, cluster.node_urls
    else:
        url = redis_servers.get(kind).url
        nodes = [url]
    for node in nodes:
        clean(node)
        no_key_without_ttl(node)
    client = connect(url)
    yield Backend(kind, url, client=client)
    await client.aclose()


@pytest.fixture
async def store(backend: Backend) -> Store:
    return await backend.opened()


@pytest.fixture
def client(backend: Backend) -> Client:
    assert backend.client is not None
    return backend.client


IN_REDIS = pytest.mark.parametrize("backend", ["valkey", "redis", "cluster"], indirect=True)
IN_ONE_REDIS = pytest.mark.parametrize("backend", ["valkey", "redis"], indirect=True)
IN_A_CLUSTER = pytest.mark.parametrize("backend", ["cluster"], indirect=True)


def decision(image: str = "img-42", **changes: object) -> Decision:
    """What two reporters at BASE + 1 and BASE + 2 bring about."""
    facts: dict[str, object] = {
        "image_id": image,
        "action": Action.BLOCK,
        "revision": 1,
        "decided_at": BASE,
        "state": State.BLOCKED,
        "trigger": Trigger.THRESHOLD,
        "automated": True,
        "distinct_reporters": 2,
        "threshold": 2,
        "reasons": {"unspecified": 2},
        "first_reported_at": BASE + 1,
        "last_reported_at": BASE + 2,
        "policy": POLICY.hash,
    }
    return Decision(**(facts | changes))  # type: ignore[arg-type] # a test's own keywords


def two_reports(image: str = "img-42") -> list[Report]:
    return [report("user-1", 1, image=image), report("user-2", 2, image=image, delay=7)]


def by_image(entries: Sequence[OutboxEntry]) -> list[Decision]:
    """Between images there is no order."""
    return sorted((entry.decision for entry in entries), key=lambda one: one.image_id)


# Applying ------------------------------------------------------------------------------------------


async def test_outcomes_come_in_the_order_of_the_batch(store: Store) -> None:
    applied = await store.apply(
        [
            report("user-1", 1, image="a"),
            report("user-1", 1, image="b"),
            report("user-1", 1, image="a"),
            retraction("user-2", 5, image="c"),
            report("user-2", 5, image="c"),
            retraction("user-2", 4, image="c"),
            report("user-2", 2, image="b", group="g"),
            report("user-1", 1 + WINDOW + 1, image="a"),
            report("user-2", 1, image="a"),
            report("user-3", 3, image="b"),
        ]
    )
    assert " ".join(applied.outcomes) == (
        "counted counted duplicate retracted retracted_before stale counted counted late already_blocked"
    )
    assert [entry.decision.image_id for entry in applied.entries] == ["b"]


async def test_nothing_is_done_for_an_empty_batch(store: Store) -> None:
    assert await store.apply([]) == Applied([], [])
    assert await store.apply([], retried=True) == Applied([], [])
    assert list(await store.settle([])) == []


async def test_a_decision_has_all_its_facts(store: Store, backend: Backend) -> None:
    backend.now = BASE + 500
    first = await store.apply([report("user-1", 3, reason="spam", group="g"), report("user-9", 9, group="g")])
    assert first == Applied([Outcome.COUNTED, Outcome.DUPLICATE], [])
    second = await store.apply([report("user-2", 2, reason="nudity", delay=400)])
    assert second.outcomes == [Outcome.COUNTED]
    (entry,) = second.entries
    assert entry.arrived == BASE + 402
    assert entry.decision == decision(
        decided_at=BASE + 500,
        reasons={"spam": 1, "nudity": 1, "unspecified": 1},
        first_reported_at=BASE + 2,
        last_reported_at=BASE + 9,
    )


async def test_a_case_can_be_read(store: Store) -> None:
    assert await store.case("img-42") == (Case(), [])
    await store.apply(
        [report("user-1", 3, reason="spam"), retraction("user-2", 9), report("user-3", 1, image="b")]
    )
    case, waiting = await store.case("img-42")
    assert (case.state, case.first, case.last, case.score, case.floor) == (
        State.OPEN,
        BASE + 3,
        BASE + 3,
        1,
        0,
    )
    assert [tuple(record) for record in case.records.values()] == [
        (BASE + 3, "spam", None),
        (BASE + 9, None, None),
    ]
    assert waiting == []
    await store.apply([report("user-2", 10)])
    case, waiting = await store.case("img-42")
    assert case == Case(
        state=State.BLOCKED, floor=BASE + 10, revision=1, decided_at=BASE, trigger=Trigger.THRESHOLD
    )
    assert [(one.image_id, one.revision) for one in waiting] == [("img-42", 1)]
    assert (await store.case("b"))[1] == []


async def test_many_images_of_many_partitions_in_one_batch(store: Store) -> None:
    images = [f"img-{number}" for number in range(300)]
    assert len({case_key(image)[:16] for image in images}) == 64
    reports = [report(f"user-{who}", who, image=image) for who in (1, 2, 3) for image in images]
    applied = await store.apply(reports)
    assert applied.outcomes == [Outcome.COUNTED] * 600 + [Outcome.ALREADY_BLOCKED] * 300
    assert by_image(applied.entries) == [decision(image) for image in sorted(images)]
    assert await store.outbox_size() == (300, BASE)


async def test_one_image_many_times_in_one_batch(store: Store) -> None:
    applied = await store.apply(two_reports() + two_reports() + [report("user-3", 1)])
    assert " ".join(applied.outcomes) == "counted counted already_blocked already_blocked already_blocked"
    assert [entry.decision for entry in applied.entries] == [decision()]


async def test_a_crowd_in_one_batch(store: Store) -> None:
    crowd = [report(f"user-{number}", 1, group="one") for number in range(2_000)]
    applied = await store.apply(crowd)
    assert applied.outcomes == [Outcome.COUNTED] + [Outcome.DUPLICATE] * 1_999
    case, _ = await store.case("img-42")
    assert len(case.records) <= 8 * 2 + 64
    assert (await store.apply([report("somebody", 2)])).entries[0].decision.distinct_reporters == 2


@pytest.mark.parametrize("image", ODD_IDS, ids=range(len(ODD_IDS)))
async def test_any_image_id_goes(store: Store, image: str) -> None:
    applied = await store.apply(two_reports(image))
    assert [entry.decision for entry in applied.entries] == [decision(image)]
    case, waiting = await store.case(image)
    assert case.state is State.BLOCKED
    assert waiting == [decision(image)]
    assert list(await store.settle(applied.entries)) == [True]


async def test_any_reporter_group_and_long_reason_go(store: Store) -> None:
    odd = report("漢" * 256, 1, group='{"}:\0' * 51, reason="z" * 64)
    applied = await store.apply([odd, odd, report("\0", 2, reason="z" * 63)])
    assert " ".join(applied.outcomes) == "counted duplicate counted"
    assert applied.entries[0].decision.reasons == {"z" * 64: 1, "z" * 63: 1}


async def test_times_of_the_far_past_go(store: Store) -> None:
    applied = await store.apply([Report("img-42", "a", 1, BASE), Report("img-42", "b", 2, BASE)])
    assert [entry.decision for entry in applied.entries] == [
        decision(first_reported_at=1, last_reported_at=2)
    ]


@pytest.mark.parametrize(("now", "decided_at"), [(0, 1001), (1000, 1001), (1001, 1001), (2000, 2000)])
async def test_revision_and_time_of_decision_grow(
    store: Store, backend: Backend, now: int, decided_at: int
) -> None:
    """Though the clock stands still or goes back."""
    await backend.seed("img-42", Case(floor=BASE, revision=69_999, decided_at=BASE + 1000))
    backend.now = BASE + now
    applied = await store.apply([report("user-0", 0), *two_reports()])
    assert applied.outcomes == [Outcome.LATE, Outcome.COUNTED, Outcome.COUNTED]
    assert [entry.decision for entry in applied.entries] == [
        decision(revision=70_000, decided_at=BASE + decided_at)
    ]


# Repeating and sweeping ----------------------------------------------------------------------------


async def test_a_repeated_batch_changes_nothing_and_returns_what_is_unsettled(store: Store) -> None:
    batch = [*two_reports("a"), *two_reports("b"), report("user-1", 1, image="c")]
    first = await store.apply(batch)
    assert by_image(first.entries) == [decision("a"), decision("b")]
    plain = await store.apply(batch)
    assert " ".join(plain.outcomes) == " ".join(["already_blocked"] * 4 + ["duplicate"])
    assert plain.entries == []
    again = await store.apply(batch, retried=True)
    assert again.outcomes == plain.outcomes
    assert by_image(again.entries) == by_image(first.entries)
    assert {entry.token for entry in again.entries} == {entry.token for entry in first.entries}
    await store.settle([entry for entry in first.entries if entry.decision.image_id == "a"])
    assert by_image((await store.apply(batch, retried=True)).entries) == [decision("b")]


async def test_a_retried_batch_returns_a_new_decision_once(store: Store) -> None:
    applied = await store.apply(two_reports(), retried=True)
    assert [(entry.decision, entry.arrived) for entry in applied.entries] == [(decision(), BASE + 9)]


async def test_a_decision_is_claimed_once_its_lease_is_over_and_by_one(
    backend: Backend, store: Store
) -> None:
    other = await backend.opened()
    await store.apply(two_reports())
    backend.now = BASE + LEASE - 1
    assert list(await store.claim_unpublished()) == []
    backend.now = BASE + LEASE
    claimed = await store.claim_unpublished()
    assert [(entry.decision, entry.arrived is None or entry.arrived) for entry in claimed] in (
        [(decision(), True)],
        [(decision(), BASE + 9)],
    )
    assert list(await other.claim_unpublished()) == []
    backend.now = BASE + 2 * LEASE - 1
    assert list(await other.claim_unpublished()) == []
    backend.now = BASE + 2 * LEASE
    assert by_image(await other.claim_unpublished()) == [decision()]
    assert list(await store.claim_unpublished()) == []
    assert await store.outbox_size() == (1, BASE)


async def test_claims_are_limited_and_leave_the_rest(backend: Backend, store: Store) -> None:
    # All of one partition, because the limit is one of each.
    images = [
        image for image in (f"img-{n}" for n in range(900)) if case_key(image)[:16] == case_key("img-0")[:16]
    ]
    await store.apply([one for image in images for one in two_reports(image)])
    backend.now = BASE + LEASE
    taken: list[OutboxEntry] = []
    while batch := await store.claim_unpublished(limit=4):
        assert len(batch) <= 4
        taken += batch
    assert by_image(taken) == [decision(image) for image in sorted(images)]


async def test_settling_says_who_was_first(backend: Backend, store: Store) -> None:
    other = await backend.opened()
    entries = (await store.apply([*two_reports("a"), *two_reports("b")])).entries
    one = [entry for entry in entries if entry.decision.image_id == "a"]
    assert list(await store.settle(one)) == [True]
    assert list(await other.settle(entries)) == [entry.decision.image_id == "b" for entry in entries]
    assert list(await store.settle(entries)) == [False, False]
    assert await store.outbox_size() == (0, None)
    backend.now = BASE + LEASE
    assert list(await store.claim_unpublished()) == []
    assert list((await store.apply(two_reports("a"), retried=True)).entries) == []


async def test_the_outbox_says_how_old_it_is(backend: Backend, store: Store) -> None:
    assert await store.outbox_size() == (0, None)
    first = await store.apply(two_reports("a"))
    backend.now = BASE + 100
    await store.apply(two_reports("b"))
    assert await store.outbox_size() == (2, BASE)
    await store.settle(first.entries)
    assert await store.outbox_size() == (1, BASE + 100)


# Of Redis alone ------------------------------------------------------------------------------------


@IN_REDIS
async def test_scripts_that_the_server_lost_are_loaded_again(
    client: Client, backend: Backend, store: Store
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
    assert len(await store.claim_unpublished()) == 100


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


@IN_REDIS
async def test_keys_are_named_as_agreed(client: Client, store: Store) -> None:
    await store.apply([one for image in ODD_IDS for one in two_reports(image)])
    await store.apply([report("user-1", 1, image="open")])
    keys = {key async for key in client.scan_iter(count=1000)}
    cases = {case_key(image) for image in [*ODD_IDS, "open"]}
    outboxes = {case_key(image)[:17] + b"outbox" for image in ODD_IDS}
    assert keys == cases | outboxes | {b"moderation:reporter-key"}
    assert case_key("img-42").startswith(b"moderation:{p25}:case:") is (crc32(b"img-42") % 64 == 25)


@IN_REDIS
async def test_cases_expire_by_the_services_clock(client: Client, backend: Backend, store: Store) -> None:
    open_until, decided_until = BASE + WINDOW + LATE_DELIVERY, BASE + DECIDED_LIFE
    await store.apply([report("user-1", 1, image="open"), *two_reports("blocked")])
    assert await client.execute_command("PEXPIRETIME", case_key("open")) == open_until
    assert await client.execute_command("PEXPIRETIME", case_key("blocked")) == decided_until
    backend.now = BASE + 1_000
    await store.apply([report("user-1", 1, image="open"), report("user-1", 1, image="blocked")])
    assert await client.execute_command("PEXPIRETIME", case_key("open")) == open_until
    assert await client.execute_command("PEXPIRETIME", case_key("blocked")) == decided_until
    await store.apply([retraction("user-9", 5, image="open")])
    assert await client.execute_command("PEXPIRETIME", case_key("open")) == open_until + 1_000


@IN_REDIS
async def test_a_decided_case_never_expires_before_an_open_one(client: Client, backend: Backend) -> None:
    store = backend.redis_store()
    store._lifetimes = Lifetimes(decided=1)
    await store.open()
    await store.apply(two_reports())
    assert await client.execute_command("PEXPIRETIME", case_key("img-42")) == BASE + WINDOW + LATE_DELIVERY


@IN_REDIS
async def test_nothing_stored_tells_who_reported(client: Client, backend: Backend, store: Store) -> None:
    secrets = ["alice@example.org", "bob@example.org", "carol@example.org", "device-cluster-77"]
    alice, bob, carol, device = secrets
    await store.apply([report(alice, 1, reason="spam", group=device), retraction(bob, 2), report(alice, 3)])
    applied = await store.apply([report(carol, 4, image="b", group=device), report(bob, 4, image="b")])
    assert len(applied.entries) == 1
    assert not any(secret.encode() in applied.entries[0].token for secret in secrets)
    found = b""
    async for key in client.scan_iter(count=1000):
        assert isinstance(key, bytes)
        value: Any
        if await client.type(key) == b"zset":
            value = b"".join(await cast("Awaitable[list[bytes]]", client.zrange(key, 0, -1)))
        else:
            value = await client.get(key)
        found += key + value
        # As it lies in memory; compressed perhaps, so what it holds was looked at above.
        found += await client.dump(key) or b""
    assert b"spam" in found
    assert KEY not in found
    assert KEY.hex().encode() not in found
    for secret in secrets:
        assert secret.encode() not in found


# Publishing and settling in one step, which a Cluster can't ----------------------------------------


def published(entries: Sequence[OutboxEntry], body: bytes = b'{"id": "1"}') -> list[Publication]:
    return [Publication(entry, Outgoing("image.blocked", body)) for entry in entries]


@IN_ONE_REDIS
async def test_delivering_publishes_exactly_once(client: Client, backend: Backend) -> None:
    store, other = backend.redis_store(), backend.redis_store()
    await store.open()
    await other.open()
    entries = (await store.apply([*two_reports("a"), *two_reports("b"), *two_reports("c")])).entries
    a, b, c = (published([entry], entry.decision.image_id.encode())[0] for entry in entries)
    assert list(await store.deliver([a])) == [True]
    await client.script_flush()
    assert list(await other.deliver([a, b, a, b])) == [False, True, False, False]
    assert list(await store.deliver([b, c])) == [False, True]
    assert list(await store.settle(entries)) == [False, False, False]
    assert await store.outbox_size() == (0, None)
    stream: Any = await client.xrange("image.blocked")
    assert [fields for _, fields in stream] == [{b"__data__": one.message.body} for one in (a, b, c)]
    assert list(await store.deliver([])) == []


@IN_ONE_REDIS
async def test_settled_elsewhere_is_not_published(client: Client, backend: Backend) -> None:
    store = backend.redis_store()
    await store.open()
    entries = (await store.apply(two_reports())).entries
    await store.settle(entries)
    assert list(await store.deliver(published(entries))) == [False]
    assert await client.exists("image.blocked") == 0


@IN_ONE_REDIS
@pytest.mark.parametrize(("keep", "left"), [(None, 501), (1_000, 501), (250, 301), (100, 101)])
async def test_delivering_trims_what_is_older(
    client: Client, backend: Backend, keep: int | None, left: int
) -> None:
    """In whole blocks of a hundred entries, which is what costs nothing."""
    store = backend.redis_store(stream=keep)
    await store.open()
    for age in range(500, 0, -1):
        await client.xadd("image.blocked", {"__data__": "old"}, id=f"{BASE - age}-0")
    entries = (await store.apply(two_reports())).entries
    assert list(await store.deliver(published(entries))) == [True]
    assert await client.xlen("image.blocked") == left
    newest: Any = await client.xrevrange("image.blocked", count=1)
    assert newest[0][1] == {b"__data__": b'{"id": "1"}'}


@IN_A_CLUSTER
async def test_one_node_that_evicts_is_enough_to_refuse_a_cluster(client: Client, backend: Backend) -> None:
    assert isinstance(client, RedisCluster)
    await backend.redis_store().open()
    node = client.get_primaries()[-1]

    async def limit(size: str, policy: str) -> None:
        await client.execute_command(
            "CONFIG SET", "maxmemory", size, "maxmemory-policy", policy, target_nodes=node
        )

    await limit("100mb", "allkeys-lru")
    try:
        with pytest.raises(Misconfigured, match="may evict cases"):
            await backend.redis_store().open()
    finally:
        await limit("0", "noeviction")


# Verdicts, withheld blocks, breaker and shadow -----------------------------------------------------


def verdict(image: str, time: int, *, upheld: bool) -> Verdict:
    return Verdict(image, BASE + time, BASE + time, upheld)


def summary(applied: Applied) -> list[tuple[str, Action, Trigger, int]]:
    return [
        (one.image_id, one.action, one.trigger, one.revision)
        for one in (entry.decision for entry in applied.entries)
    ]


async def test_verdicts_and_reports_go_through_one_batch(store: Store) -> None:
    applied = await store.apply(
        [
            report("user-1", 1),
            report("user-2", 2),
            verdict("img-42", 3, upheld=False),
            verdict("img-42", 3, upheld=False),
            verdict("never-reported", 4, upheld=True),
            verdict("img-42", 2, upheld=True),
        ]
    )
    assert applied.outcomes[2:] == [
        Outcome.CLEARED,
        Outcome.DUPLICATE,
        Outcome.UPHELD,
        Outcome.STALE,
    ]
    assert sorted(summary(applied)) == [
        ("img-42", Action.BLOCK, Trigger.THRESHOLD, 1),
        ("img-42", Action.UNBLOCK, Trigger.MODERATOR, 2),
        ("never-reported", Action.BLOCK, Trigger.MODERATOR, 1),
    ]


async def test_a_withheld_block_is_taken_by_one_and_comes_with_a_tick(backend: Backend) -> None:
    backend.policy = replace(POLICY, review_threshold=1, review_grace=100)
    store, other = await backend.opened(), await backend.opened()
    asked = await store.apply([report("user-1", 1), report("user-2", 2)])
    assert summary(asked) == [("img-42", Action.REQUEST_REVIEW, Trigger.REVIEW_THRESHOLD, 1)]
    assert await store.claim_withheld_blocks() == []
    backend.now += 100
    assert await store.claim_withheld_blocks() == [Tick("img-42")]
    assert await other.claim_withheld_blocks() == []
    backend.now += LEASE  # whoever took it has died
    assert await other.claim_withheld_blocks() == [Tick("img-42")]
    applied = await other.apply([Tick("img-42"), Tick("img-42")])
    assert applied.outcomes == [Outcome.TICKED, Outcome.TICKED]
    assert summary(applied) == [("img-42", Action.BLOCK, Trigger.THRESHOLD, 2)]
    backend.now += 10 * LEASE
    assert await store.claim_withheld_blocks() == []


async def test_the_breaker_counts_an_hour_and_a_repeated_batch_once(backend: Backend) -> None:
    backend.policy = replace(POLICY, max_blocks_per_hour=1)
    store = await backend.opened()
    batch = [report("user-1", 1, image="a"), report("user-2", 2, image="a")]
    assert summary(await store.apply(batch)) == [("a", Action.BLOCK, Trigger.THRESHOLD, 1)]
    await store.apply(batch, retried=True)
    full = await store.apply([report(f"user-{n}", n, image="b") for n in (1, 2, 3)])
    assert summary(full) == [("b", Action.REQUEST_REVIEW, Trigger.BREAKER, 1)]
    backend.now += 3_600_001
    assert summary(await store.apply([report("user-9", 9, image="b")])) == [
        ("b", Action.BLOCK, Trigger.THRESHOLD, 2)
    ]


@IN_REDIS
async def test_whether_the_breaker_is_open_is_known(backend: Backend) -> None:
    plain = backend.redis_store()
    assert not await plain.breaker_open()
    # Where a review was asked for before, no decision of the breaker's own tells.
    backend.policy = replace(POLICY, max_blocks_per_hour=1, review_threshold=1)
    store = backend.redis_store()
    await store.open()
    assert not await store.breaker_open()
    await store.apply([report(f"user-{n}", n, image="a") for n in (1, 2, 3)])
    assert await store.breaker_open()
    withheld = await store.apply([report(f"user-{n}", n, image="b") for n in (1, 2, 3)])
    assert summary(withheld) == [("b", Action.REQUEST_REVIEW, Trigger.REVIEW_THRESHOLD, 1)]
    backend.now += 3_600_001
    assert not await store.breaker_open()


async def test_shadow_mode_puts_nothing_into_the_outbox(backend: Backend) -> None:
    backend.policy = replace(POLICY, shadow=True)
    store = await backend.opened()
    applied = await store.apply([report(f"user-{n}", n) for n in (1, 2, 3)])
    assert list(applied.entries) == []
    assert [(one.action, one.revision) for one in applied.shadow] == [(Action.BLOCK, 0)]
    assert (await store.outbox_size())[0] == 0
    assert (await store.apply([report("user-4", 4)])).shadow == ()


@IN_REDIS
async def test_the_oldest_unanswered_review_is_known(backend: Backend) -> None:
    backend.policy = replace(POLICY, review_threshold=1)
    store = backend.redis_store()
    await store.open()
    assert await store.oldest_review() is None
    await store.apply([report("user-1", 1, image="a")])
    backend.now += 7
    await store.apply([report("user-1", 1, image="b")])
    assert await store.oldest_review() == BASE
    await store.apply([verdict("a", 9, upheld=False)])
    assert await store.oldest_review() == BASE + 7


@IN_REDIS
async def test_options_that_are_off_cost_no_key(store: Store, client: Client) -> None:
    await store.apply([report("user-1", 1), report("user-2", 2), verdict("b", 3, upheld=False)])
    keys: Any = [key async for key in client.scan_iter(match="moderation:*")]
    kinds = {key.decode().split(":")[2 if b"{" in key else 1] for key in keys}
    assert kinds == {"case", "outbox", "reporter-key"}
