"""A wrong password or address is said as what it is, in /readyz and in the log, and never shown."""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from image_moderation.embedded import EmbeddedRedis
from tests.support.brokers.harness import Harness
from tests.support.brokers.nats import NatsHarness
from tests.support.brokers.rabbitmq import RabbitmqHarness
from tests.support.servers import RedisServers, free_port
from tests.support.service_process import ServiceProcess
from tests.support.waiting import wait_until

SECRET = "hunter2"


def wait_for_words(service: ServiceProcess, check: str, words: str) -> None:
    def says() -> bool:
        return str(json.loads(service.get("/readyz")[1])["checks"][check]).startswith(words)

    wait_until(says, f"{check}: {words}", 30)
    failed = [line for line in service.events() if line["event"] == "check_failed"]
    assert any(line["check"] == check and line["error"].startswith(words) for line in failed), failed
    assert SECRET not in service.log


@contextmanager
def nats_server(place: Path, port: int, password: str) -> Iterator[None]:
    command = [NatsHarness.program(), "-js", "-a", "127.0.0.1", "-p", str(port), "-sd", str(place)]
    with subprocess.Popen(
        [*command, "--user", "u", "--pass", password], stderr=subprocess.DEVNULL
    ) as process:
        yield
        process.terminate()


@pytest.mark.parametrize("broker", ["kafka"], indirect=True)
def test_of_kafka(broker: Harness, redis_url: str, tmp_path: Path) -> None:
    """Librdkafka's mock refuses every user."""
    url = re.sub("://(.*@)?", f"://u:{SECRET}@", broker.url)
    env = {"MODERATION_BROKER_URL": url, "MODERATION_STORE_URL": redis_url}
    with ServiceProcess(tmp_path, env, wait="http") as service:
        wait_for_words(service, "broker", "authentication failed: ")


def test_of_nats_at_the_start_and_while_it_runs(redis_url: str, tmp_path: Path) -> None:
    port, place = free_port(), tmp_path / "nats"
    env = {
        "MODERATION_BROKER_URL": f"nats://u:{SECRET}@127.0.0.1:{port}",
        "MODERATION_STORE_URL": redis_url,
    }
    with ServiceProcess(tmp_path, env, wait="http", timeout=40) as service:
        for _ in range(2):
            with nats_server(place, port, "another"):
                wait_for_words(service, "broker", "authentication failed: ")
            with nats_server(place, port, SECRET):
                service.wait_ready()


@pytest.mark.parametrize("broker", ["rabbitmq"], indirect=True)
def test_of_rabbitmq_that_changes_while_it_runs(
    broker: RabbitmqHarness, redis_server: EmbeddedRedis, tmp_path: Path
) -> None:
    env = {"MODERATION_BROKER_URL": broker.url, "MODERATION_STORE_URL": f"{redis_server.tcp_url}/1"}
    with ServiceProcess(tmp_path, env, timeout=40) as service:
        broker.change_password(SECRET)
        try:
            wait_for_words(service, "broker", "authentication failed: ")
        finally:
            broker.change_password("guest")
        service.wait_ready()


def test_of_the_store_that_changes_while_it_runs(redis_servers: RedisServers, tmp_path: Path) -> None:
    with redis_servers.new(tmp_path / "store") as server, redis.Redis.from_url(server.url) as admin:
        admin.config_set("requirepass", "right")
        admin.auth("right")
        env = {"MODERATION_BROKER_URL": f"redis://:right@127.0.0.1:{server.port}"}
        with ServiceProcess(tmp_path, env) as service:
            admin.config_set("requirepass", SECRET)
            admin.client_kill_filter(_type="normal", skipme=True)
            for check in ("store", "broker"):
                wait_for_words(service, check, "authentication failed: ")
            admin.config_set("requirepass", "right")
            service.wait_ready()


def test_of_a_host_that_does_not_exist(redis_url: str, tmp_path: Path) -> None:
    env = {
        "MODERATION_BROKER_URL": f"redis://:{SECRET}@no-such-host.invalid",
        "MODERATION_STORE_URL": redis_url,
    }
    with ServiceProcess(tmp_path, env, wait="http") as service:
        wait_for_words(service, "broker", "the host name can't be resolved: ")
