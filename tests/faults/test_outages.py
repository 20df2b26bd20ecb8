"""Servers that are unavailable, refuse, lose data or replies: /readyz says why, the service recovers."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from image_moderation.embedded import EmbeddedRedis
from image_moderation.store import lua
from tests.support.outcome import BLOCKED, GROUP, REPORTED, entries, make_sample, send, wait_done, wrong
from tests.support.proxy import FaultProxy
from tests.support.servers import RedisServers
from tests.support.service_process import ServiceProcess
from tests.support.waiting import stays_true_for, wait_until

MODULE = "tests.support.failing_service"
QUICK = {"REDELIVER_AFTER": "300"}


@pytest.fixture
def server(redis_servers: RedisServers, tmp_path: Path) -> Iterator[EmbeddedRedis]:
    """A private Valkey, which the test may stop, break and reconfigure."""
    with redis_servers.new(tmp_path / "valkey", appendfsync="always") as server:
        yield server


@pytest.fixture
def client(server: EmbeddedRedis) -> Iterator[Any]:
    with redis.Redis.from_url(server.url) as client:
        yield client


@pytest.fixture
async def proxy(server: EmbeddedRedis) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(server.socket_path) as proxy:
        yield proxy


def checks(service: ServiceProcess) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(service.get("/readyz")[1])
    return dict(report["checks"])


def failing(service: ServiceProcess) -> set[str]:
    return {name for name, state in checks(service).items() if state != "ok"}


@pytest.mark.parametrize("fault", ["refuse", "reset", "blackhole"])
async def test_the_one_redis_goes_away_and_returns(
    client: Any, proxy: FaultProxy, tmp_path: Path, fault: str
) -> None:
    messages, expected = make_sample()
    half = len(messages) // 2

    def before(service: ServiceProcess) -> None:
        send(client, messages[:half])
        wait_done(client)

    def during(service: ServiceProcess) -> None:
        if fault == "blackhole":  # the client itself waits for longer
            wait_until(lambda: "no answer for" in checks(service)["store"], "silence is told")
        service.wait_ready(ready=False)
        wait_until(lambda: {"store", "broker"} <= failing(service), "both checks fail")
        assert service.get("/livez")[0] == 200
        send(client, messages[half:])

    def after(service: ServiceProcess) -> None:
        wait_done(client)
        service.wait_ready()
        assert wrong(client, expected) == []

    env = {"MODERATION_BROKER_URL": proxy.url, **QUICK}
    service = await asyncio.to_thread(ServiceProcess(tmp_path, env, module=MODULE).start)
    try:
        await asyncio.to_thread(before, service)
        await getattr(proxy, fault)()
        await asyncio.to_thread(during, service)
        await proxy.pass_through()
        await asyncio.to_thread(after, service)
    finally:
        await asyncio.to_thread(service.stop)


async def test_without_the_store_nothing_is_acked_and_the_broker_is_fine(
    server: EmbeddedRedis, client: Any, proxy: FaultProxy, tmp_path: Path
) -> None:
    messages, expected = make_sample(500)
    env = {"MODERATION_BROKER_URL": server.url, "MODERATION_STORE_URL": f"{proxy.url}/1", **QUICK}
    store = redis.Redis.from_url(f"{server.tcp_url}/1")

    def during(service: ServiceProcess) -> None:
        service.wait_ready(ready=False)
        assert failing(service) == {"store"}
        send(client, [message for message in messages if not message.reason])
        wait_until(lambda: client.xpending(REPORTED, GROUP)["pending"] > 0, "something is read")
        pending = client.xpending(REPORTED, GROUP)["pending"]
        send(client, [message for message in messages if message.reason])
        assert client.xpending(REPORTED, GROUP)["pending"] >= pending

    service = await asyncio.to_thread(ServiceProcess(tmp_path, env, module=MODULE).start)
    try:
        await proxy.refuse()
        await asyncio.to_thread(during, service)
        await proxy.pass_through()
        await asyncio.to_thread(wait_done, client, store)
        assert wrong(client, expected) == []
    finally:
        await asyncio.to_thread(service.stop)


@pytest.mark.parametrize("script", [lua.APPLY, lua.DELIVER], ids=lambda script: script.name)
async def test_a_lost_reply_neither_loses_nor_repeats_a_decision(
    client: Any, proxy: FaultProxy, tmp_path: Path, script: lua.Script[Any]
) -> None:
    messages, expected = make_sample(600)
    env = {"MODERATION_BROKER_URL": proxy.url, **QUICK}
    service = await asyncio.to_thread(ServiceProcess(tmp_path, env, module=MODULE).start)
    try:
        for part in range(3):
            await proxy.drop_reply_once(script.sha)
            await asyncio.to_thread(send, client, messages[part::3])
            await asyncio.to_thread(wait_done, client)
        assert proxy.dropped_replies >= 2
        assert wrong(client, expected) == []
    finally:
        await asyncio.to_thread(service.stop)


FORGET = {
    "group_destroyed": lambda client: client.xgroup_destroy(REPORTED, GROUP),
    "stream_deleted": lambda client: client.delete(REPORTED),
    "flushed": lambda client: client.flushall(),
    "scripts_flushed": lambda client: client.script_flush(),
}


@pytest.mark.parametrize("loss", FORGET)
def test_what_the_server_forgets_is_made_again(
    server: EmbeddedRedis, client: Any, tmp_path: Path, loss: str
) -> None:
    messages, expected = make_sample(500)
    with ServiceProcess(tmp_path, {"MODERATION_BROKER_URL": server.url, **QUICK}, module=MODULE) as service:
        FORGET[loss](client)
        send(client, messages)
        wait_done(client)
        service.wait_ready()
        wait_until(lambda: client.exists("moderation:reporter-key"), "the reporter key is on record")
    assert wrong(client, expected) == []


def test_a_read_only_server_is_waited_for_without_a_hot_loop(
    server: EmbeddedRedis, client: Any, tmp_path: Path
) -> None:
    messages, expected = make_sample(500)
    with ServiceProcess(tmp_path, {"MODERATION_BROKER_URL": server.url, **QUICK}, module=MODULE) as service:
        send(client, messages[:200])
        wait_done(client)
        client.replicaof("127.0.0.1", 1)
        service.wait_ready(ready=False)
        asked, replies = client.info("stats")["total_commands_processed"], itertools.count()
        stays_true_for(
            # The looks themselves are commands, too.
            lambda: client.info("stats")["total_commands_processed"] - next(replies) - asked < 2_000,
            3,
            "the service does not flood a server that refuses it",
        )
        client.replicaof("NO", "ONE")
        send(client, messages[200:])
        wait_done(client)
        service.wait_ready()
    assert wrong(client, expected) == []


def test_a_full_server_is_waited_for(server: EmbeddedRedis, client: Any, tmp_path: Path) -> None:
    messages, expected = make_sample(500)
    with ServiceProcess(tmp_path, {"MODERATION_BROKER_URL": server.url, **QUICK}, module=MODULE) as service:
        send(client, messages)
        client.config_set("maxmemory", 1)
        service.wait_ready(ready=False)
        client.config_set("maxmemory", 0)
        wait_done(client)
        service.wait_ready()
    assert wrong(client, expected) == []


def test_a_killed_redis_comes_back_with_everything(
    server: EmbeddedRedis, client: Any, tmp_path: Path
) -> None:
    messages, expected = make_sample()
    with ServiceProcess(tmp_path, {"MODERATION_BROKER_URL": server.url, **QUICK}, module=MODULE) as service:
        send(client, messages)
        server.kill()
        server.restart()
        wait_done(client)
        service.wait_ready()
    assert wrong(client, expected) == []


def test_a_killed_replicas_share_is_taken_over(server: EmbeddedRedis, client: Any, tmp_path: Path) -> None:
    messages, expected = make_sample()
    env = {"MODERATION_BROKER_URL": server.url, "MODERATION_BATCH_SIZE": "50", **QUICK}
    dying = ServiceProcess(tmp_path, env | {"FAILPOINT": "before_apply:4"}, module=MODULE, name="dying")
    with dying, ServiceProcess(tmp_path, env, module=MODULE, name="living"):
        send(client, messages)
        assert dying.wait() < 0
        wait_done(client)
    assert wrong(client, expected) == []


def test_sigterm_under_load_finishes_what_is_in_hand(
    server: EmbeddedRedis, client: Any, tmp_path: Path
) -> None:
    messages, expected = make_sample(6_000)
    env = {"MODERATION_BROKER_URL": server.url, "MODERATION_BATCH_SIZE": "50"}
    with ServiceProcess(tmp_path, env) as service:
        send(client, messages)
        wait_until(lambda: len(entries(client, BLOCKED)) > 0, "work is under way")
        service.terminate()
        assert service.wait() == 0
        group = client.xinfo_groups(REPORTED)[0]
        assert group["pending"] == 0, "what it had read is acked"
        assert group["consumers"] == 0, "its consumers are gone"
        service.start()
        wait_done(client)
    assert wrong(client, expected) == []


def test_it_waits_for_a_redis_that_is_not_there_yet(
    server: EmbeddedRedis, client: Any, tmp_path: Path
) -> None:
    url = server.url
    server.kill()
    with ServiceProcess(tmp_path, {"MODERATION_BROKER_URL": url}, wait="http") as service:
        assert service.get("/readyz")[0] == 503
        server.restart()
        service.wait_ready()


def test_a_drain_that_can_not_finish_keeps_to_its_time_and_loses_nothing(
    server: EmbeddedRedis, client: Any, redis_servers: RedisServers, tmp_path: Path
) -> None:
    messages, expected = make_sample(500)
    with redis_servers.new(tmp_path / "store", appendfsync="always") as store:
        env = {
            "MODERATION_BROKER_URL": server.url,
            "MODERATION_STORE_URL": store.url,
            "MODERATION_SHUTDOWN_TIMEOUT": "2s",
            **QUICK,
        }
        with ServiceProcess(tmp_path, env, module=MODULE) as service:
            store.kill()
            service.wait_ready(ready=False)
            send(client, messages)
            wait_until(lambda: client.xpending(REPORTED, GROUP)["pending"] > 0, "something is in hand")
            service.terminate()
            assert service.wait(3.5) == 0
            store.restart()
            service.start()
            wait_done(client, redis.Redis.from_url(store.url))
    assert wrong(client, expected) == []
