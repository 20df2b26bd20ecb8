"""Looking through all cases and removing single ones, on real servers."""

import asyncio
import subprocess
import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import pytest
import redis

from image_moderation.domain.case import Case
from image_moderation.domain.clock import MOST_CLOCK_SKEW
from image_moderation.domain.decision import State, Trigger
from image_moderation.domain.errors import StoreUnavailable
from image_moderation.domain.policy import Policy
from image_moderation.domain.report import Report, Verdict
from image_moderation.redis_connection import close, connect
from image_moderation.store.digests import Digests
from image_moderation.store.keys import Keys
from image_moderation.store.layout import decode
from image_moderation.store.redis_store import Lifetimes, RedisStore
from image_moderation.store.reporter_key import agree_on_key
from image_moderation.store.scan import CaseScan
from image_moderation.wiring import clock
from tests.support.case_values import case_key, case_value
from tests.support.decisions import DECISION
from tests.support.servers import RedisServers
from tests.support.valkey_cluster import ValkeyCluster

BLOCKED = Case(
    state=State.BLOCKED,
    floor=900,
    revision=1,
    decided_at=1000,
    trigger=Trigger.THRESHOLD,
    facts=DECISION.facts,
)
CLEARED = Case(
    floor=5000,
    revision=2,
    decided_at=2000,
    trigger=Trigger.MODERATOR,
    verdict=Verdict.CLEARED,
    verdict_time=1999,
)
OPEN = Case(last=600, score=2)
MINUTE = 60


def put(client: redis.Redis, cases: Iterable[tuple[str, Case]]) -> None:
    with client.pipeline(transaction=False) as pipeline:
        for image, case in cases:
            pipeline.set(case_key(image), case_value(case), ex=MINUTE)
        pipeline.execute()


@pytest.mark.parametrize("case", [BLOCKED, CLEARED, OPEN])
def test_the_cases_of_these_tests_are_as_the_service_reads_them(case: Case) -> None:
    assert decode(case_value(case)) == case


async def test_many_cases_are_found_without_holding_up_the_server(
    redis_servers: RedisServers, tmp_path: Path
) -> None:
    with redis_servers.new(tmp_path / "data") as server, redis.Redis.from_url(server.url) as client:
        many = 20_000
        put(client, ((f"img-{n}", BLOCKED if n % 2 else OPEN) for n in range(many)))
        client.config_set("slowlog-log-slower-than", 20_000)
        client.slowlog_reset()
        client.config_resetstat()
        seen: list[tuple[int, int]] = []
        connected = connect(server.url)
        try:
            scan = CaseScan(connected, "moderation")
            found = [pair async for pair in scan.blocked(None, lambda *progress: seen.append(progress))]
        finally:
            await close(connected)
        assert sorted(image for image, _ in found) == sorted(f"img-{n}" for n in range(1, many, 2))
        assert all(case == BLOCKED for _, case in found)
        assert client.slowlog_get() == []
        commands = set(cast("dict[str, Any]", client.info("commandstats")))
        assert "cmdstat_scan" in commands
        assert "cmdstat_keys" not in commands
        assert seen == sorted(seen)
        assert len(seen) > 10
        assert seen[-1] == (many, many)


async def test_what_was_decided_earlier_is_left_out(any_redis_url: str) -> None:
    with redis.Redis.from_url(any_redis_url) as client:
        put(client, {"a": BLOCKED, "ü-\N{SNOWMAN} {p1}:case:": BLOCKED, "c": CLEARED, "d": OPEN}.items())
    connected = connect(any_redis_url)
    try:
        scan = CaseScan(connected, "moderation")
        assert {image async for image, _ in scan.blocked()} == {"a", "ü-\N{SNOWMAN} {p1}:case:"}
        assert {image async for image, _ in scan.blocked(1000)} == {"a", "ü-\N{SNOWMAN} {p1}:case:"}
        assert [image async for image, _ in scan.blocked(1001)] == []
        assert {image: case async for image, case in scan.decided(1001)} == {"c": CLEARED}
        assert await scan.case("c") == CLEARED
        assert await scan.case("e") == Case()
        assert [image async for image, _ in CaseScan(connected, "other").decided()] == []
        assert scan.unreadable == 0
    finally:
        await close(connected)


async def test_keys_that_hold_no_case_are_counted_and_left_out(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        put(client, [("a", BLOCKED)])
        client.set(case_key("b"), b"\x01", ex=MINUTE)
        client.sadd(case_key("c"), "x")
        client.expire(case_key("c"), MINUTE)
        client.set(b"moderation:{p99}:case:a", case_value(BLOCKED), ex=MINUTE)  # of no partition
    connected = connect(redis_url)
    try:
        scan = CaseScan(connected, "moderation")
        assert [image async for image, _ in scan.blocked()] == ["a"]
        assert scan.unreadable == 2
    finally:
        await close(connected)


async def test_forgetting_removes_the_case_with_its_marks_and_nothing_else(redis_url: str) -> None:
    partition = case_key("img-42").partition(b":case:")[0]
    with redis.Redis.from_url(redis_url) as client:
        put(client, {"img-42": BLOCKED, "img-43": BLOCKED}.items())
        for name in (b":due", b":reviews"):
            client.zadd(partition + name, {"img-42": 1, "another": 2})
            client.expire(partition + name, 3_600)
        client.zadd(partition + b":outbox", {"a decision about img-42": 1})
        connected = connect(redis_url)
        try:
            scan = CaseScan(connected, "moderation")
            assert await scan.forget("img-42") is True
            assert await scan.forget("img-42") is False
        finally:
            await close(connected)
        assert client.get(case_key("img-42")) == case_value(Case(decided_at=BLOCKED.decided_at))
        assert 0 < client.pttl(case_key("img-42")) <= 2 * MOST_CLOCK_SKEW
        assert client.get(case_key("img-43")) == case_value(BLOCKED)
        for name in (b":due", b":reviews"):
            assert client.zrange(partition + name, 0, -1) == [b"another"]
        assert client.zcard(partition + b":outbox") == 1


async def test_decided_at_never_goes_back_after_forgetting(redis_url: str) -> None:
    """Though the replica that decides next has a clock that is ten minutes behind the other's."""
    connected = connect(redis_url)
    now = 2 * MOST_CLOCK_SKEW + clock()
    store = RedisStore(
        connected,
        prefix="moderation",
        policy=Policy(block_threshold=1),
        lifetimes=Lifetimes(decided=MINUTE * 1000),
        reporter_key=b"a key for tests",
        clock=lambda: now,
    )
    try:
        await store.open()
        first = await store.apply([Report("img-42", "user-1", 1, 1)])
        assert await CaseScan(connected, "moderation").forget("img-42") is True
        now -= 2 * MOST_CLOCK_SKEW
        second = await store.apply([Report("img-42", "user-1", 1, 1)])
    finally:
        await close(connected)
    before, after = first.entries[0].decision, second.entries[0].decision
    assert (before.revision, after.revision) == (1, 1)
    assert after.decided_at == before.decided_at + 1


async def test_every_node_of_a_cluster_is_looked_through(redis_servers: RedisServers, tmp_path: Path) -> None:
    images = {f"img-{n}" for n in range(300)}
    with ValkeyCluster(tmp_path, redis_servers.engine("valkey")) as cluster:
        connected: Any = connect(cluster.url)
        try:
            for image in images:
                await connected.set(case_key(image), case_value(BLOCKED), ex=MINUTE)
            scan = CaseScan(connected, "moderation")
            seen: list[tuple[int, int]] = []
            found = [image async for image, _ in scan.blocked(None, lambda *now: seen.append(now))]
            assert len(found) == len(images)
            assert set(found) == images
            assert seen[-1] == (300, 300)
            assert await scan.forget("img-1") is True
            assert await scan.forget("img-1") is False
            assert not (await scan.case("img-1")).known
        finally:
            await close(connected)


async def test_a_store_that_is_away_says_so() -> None:
    for url in ("redis://127.0.0.1:1", "redis+cluster://127.0.0.1:1"):
        connected = connect(url)
        try:
            scan = CaseScan(connected, "moderation")
            with pytest.raises(StoreUnavailable):
                _ = [pair async for pair in scan.blocked()]
            with pytest.raises(StoreUnavailable):
                await scan.forget("img-42")
        finally:
            await close(connected)


async def test_a_person_is_found_as_the_page_on_privacy_says(redis_url: str) -> None:
    page = (Path(__file__).parents[2] / "docs" / "privacy.md").read_text()
    code = textwrap.dedent(page.partition("```python\n")[2].partition("```")[0])
    connected = connect(redis_url)
    try:
        key = await agree_on_key(connected, Keys("moderation"), None, lambda count: b"k" * count)
        digest = Digests(key).reporter("user-7")
        record = digest + (500).to_bytes(6, "little") + b"\0"
        await connected.set(case_key("img-1"), case_value(OPEN) + record, ex=MINUTE)
        await connected.set(case_key("img-2"), case_value(OPEN), ex=MINUTE)
    finally:
        await close(connected)
    for reporter, images in (("user-7", "img-1\n"), ("user-8", "")):
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", code, reporter],
            env={"MODERATION_BROKER_URL": redis_url},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert (done.stdout, done.stderr) == (images, "")
