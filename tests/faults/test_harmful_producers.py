"""What a producer that may XADD can do to a Redis stream: the service says so, and the runbook has a cure."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from image_moderation.embedded import EmbeddedRedis
from tests.support.deploy_commands import DEPLOY, installed
from tests.support.outcome import GROUP, REPORTED, make_sample, send, wait_done, wrong
from tests.support.servers import RedisServers
from tests.support.service_process import ServiceProcess
from tests.support.waiting import wait_until

GREATEST = "18446744073709551615-18446744073709551615"


@pytest.fixture
def server(redis_servers: RedisServers, tmp_path: Path) -> Iterator[EmbeddedRedis]:
    """A private Valkey, which a test may harm."""
    with redis_servers.new(tmp_path / "own") as server:
        yield server


def channels(service: ServiceProcess) -> str:
    report: dict[str, Any] = json.loads(service.get("/readyz")[1])
    return str(report["checks"]["channels"])


def cure() -> str:
    """The runbook's commands."""
    section = (DEPLOY / "runbook.md").read_text().partition("## A stream that a producer has harmed")[2]
    found = re.search(r"```sh\n(.*?)```", section, re.DOTALL)
    assert found
    return found[1]


def test_what_a_producer_did_to_a_stream_is_told_and_cured(server: EmbeddedRedis, tmp_path: Path) -> None:
    messages, expected = make_sample(400)
    client: Any = redis.Redis.from_url(server.url)
    cli = f"redis-cli() {{ {installed('redis-cli')} -s '{server.socket_path}' \"$@\"; }}\n"
    client.xgroup_create(REPORTED, GROUP, id="0", mkstream=True)  # as an earlier replica left it
    client.xadd(REPORTED, {"__data__": ""})
    client.xreadgroup(GROUP, "earlier", {REPORTED: ">"}, noack=True)
    for _ in range(10):
        client.xadd(REPORTED, {"__data__": ""})
    client.xtrim(REPORTED, maxlen=0, approximate=False)
    send(client, messages[:200])
    with ServiceProcess(tmp_path, {"MODERATION_BROKER_URL": server.url}, wait="http") as service:
        wait_until(lambda: "had not read" in channels(service), "the loss is told")
        assert service.wait_for_event("unread_deleted")["count"] == 10
        wait_until(
            lambda: "\nmoderation_deleted_unread_total 10.0\n" in service.get("/metrics")[1], "counted"
        )
        wait_done(client)

        client.xadd(REPORTED, {"__data__": "{}"}, id=GREATEST)
        with pytest.raises(redis.ResponseError, match="exhausted the last possible ID"):
            client.xadd(REPORTED, {"__data__": "{}"})
        wait_until(lambda: "in the future" in channels(service), "the stream is told")
        assert service.get("/readyz")[0] == 503
        assert re.search(r"\nmoderation_channel_ahead_seconds 1\.8\d+e\+16\n", service.get("/metrics")[1])
        wait_done(client)

        done = subprocess.run(
            ["bash", "-c", f"set -e\n{cli}{cure()}"], capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 0, done.stderr
        assert "ERR" not in done.stdout, done.stdout
        send(client, messages[200:])
        wait_done(client)
        wait_until(lambda: "in the future" not in channels(service), "the stream takes more")
    differences = [line for line in wrong(client, expected) if "dead letter" not in line]
    assert differences == [], "the bad entry alone is one dead letter more"
