"""A wrong password or address is said as what it is, in /readyz and in the log, and never shown."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from image_moderation.embedded import EmbeddedRedis
from tests.support.brokers.harness import Harness
from tests.support.brokers.nats import NatsHarness
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
def nats_with_a_password(place: Path) -> Iterator[str]:
    port = free_port()
    command = [NatsHarness.program(), "-js", "-a", "127.0.0.1", "-p", str(port), "-sd", str(place)]
    with subprocess.Popen([*command, "--user", "u", "--pass", "right"], stderr=subprocess.DEVNULL) as process:
        yield f"nats://u:{SECRET}@127.0.0.1:{port}"
        process.terminate()


def with_wrong_password(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://u:{SECRET}@{rest.rpartition('@')[2]}"


@pytest.mark.parametrize("broker", ["redis", "rabbitmq", "kafka"], indirect=True)
def test_of_a_broker(broker: Harness, redis_server: EmbeddedRedis, tmp_path: Path) -> None:
    url = redis_server.tcp_url if broker.name == "redis" else broker.url
    env = {
        "MODERATION_BROKER_URL": with_wrong_password(url),
        "MODERATION_STORE_URL": f"{redis_server.tcp_url}/1",
    }
    with ServiceProcess(tmp_path, env, wait="http") as service:
        wait_for_words(service, "broker", "authentication failed: ")


def test_of_nats(redis_url: str, tmp_path: Path) -> None:
    with nats_with_a_password(tmp_path / "nats") as url:
        env = {"MODERATION_BROKER_URL": url, "MODERATION_STORE_URL": redis_url}
        with ServiceProcess(tmp_path, env, wait="http") as service:
            wait_for_words(service, "broker", "authentication failed: ")


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
