"""The commands that speak to a broker, on each; where a broker can't serve one, the command says so."""

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from image_moderation.embedded import EmbeddedRedis
from tests.support.brokers.harness import Harness
from tests.support.command_line import Call, Result
from tests.support.service_process import ROOT, ServiceProcess
from tests.support.waiting import wait_until


@pytest.fixture
def cli(call: Call, broker: Harness, redis_server: EmbeddedRedis) -> Call:
    return partial(call, broker_url=broker.commands_url, store_url=f"{redis_server.tcp_url}/1")


def done(result: Result) -> Result:
    assert result.code == 0, result.err
    return result


def test_the_commands(broker: Harness, cli: Call, redis_server: EmbeddedRedis, tmp_path: Path) -> None:
    env = {"MODERATION_BROKER_URL": broker.url, "MODERATION_STORE_URL": f"{redis_server.tcp_url}/1"}
    service = ServiceProcess(tmp_path, env, timeout=40)
    with service:
        command = [sys.executable, "-m", "image_moderation", "watch", "--json"]
        watch = subprocess.Popen(
            command,
            cwd=ROOT,
            env=service.env | {"MODERATION_BROKER_URL": broker.commands_url},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert watch.stdout is not None
        assert watch.stderr is not None
        try:
            assert watch.stderr.readline().startswith("watching image.blocked")
            for number in range(5):
                done(cli("report", "img-42", "--reporter", f"user-{number}", "--reason", "nudity"))
            shown = json.loads(watch.stdout.readline())
        finally:
            watch.terminate()
            watch.communicate()
        assert (shown["type"], shown["subject"]) == ("image.blocked.v1", "img-42")
        assert json.loads(done(cli("inspect", "img-42", "--json")).out)["state"] == "blocked"
        done(cli("review", "img-42", "--verdict", "cleared"))
        wait_until(lambda: broker.read("image.unblocked"), "it is unblocked", 20)

        broker.publish("image.reported", [b"\xff not an event", b"nor this"])
        wait_until(lambda: len(broker.read("image.dead-letter")) >= 2, "both are parked", 20)
    listed = done(cli("dead-letters", "list", "--json")).lines
    assert sorted(letter["reason"] for letter in listed) == ["not_json", "not_utf8"]
    first, second = (letter["id"] for letter in listed)
    assert "body: ***" in done(cli("dead-letters", "show", first)).out
    done(cli("dead-letters", "redrive", first))
    purged = done(cli("dead-letters", "purge", second, "--yes"))
    assert ("compaction" in purged.err) == (not broker.features.removes_single_letters)
    assert done(cli("dead-letters", "list", "--json")).lines == []
    wait_until(lambda: broker.waiting("image.reported") == 1, "the redriven one waits for the service", 10)


@pytest.mark.parametrize("broker", ["rabbitmq"], indirect=True)
def test_what_a_broker_can_not_do_is_said(broker: Harness, cli: Call) -> None:
    result = cli("watch", "--from-start")
    assert result.code == 2
    assert "RabbitMQ keeps no event that has been consumed" in result.err


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("nats://127.0.0.1:1", "broker"),
        ("amqp://127.0.0.1:1", "broker"),
        ("kafka://127.0.0.1:1", "broker"),
    ],
)
def test_a_broker_that_is_away_is_one_line(call: Call, url: str, told: str) -> None:
    result = call("report", "img-42", broker_url=url, store_url="redis://127.0.0.1:1")
    assert result.code == 1
    assert told in result.err
    assert result.err.count("\n") == 1, result.err
