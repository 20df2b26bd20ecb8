"""Runs the programs of contracts/README.md, unchanged, against the real service and broker."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from image_moderation.embedded import EmbeddedRedis
from tests.support.contract_programs import node_modules, program, running
from tests.support.servers import missing
from tests.support.service_process import ROOT, ServiceProcess
from tests.support.waiting import wait_until

LANGUAGES = ("python", "javascript", "sh")
IMAGE = "写真/桜🌸.png"


@pytest.fixture(params=LANGUAGES)
def command(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], list[str]]:
    """Returns the command that runs the program of a section of the README, in each language."""
    language: str = request.param
    if language == "javascript":
        (tmp_path / "node_modules").symlink_to(node_modules(), target_is_directory=True)
        run, suffix = ["node"], ".mjs"
    elif language == "sh":
        if not shutil.which("redis-cli"):
            missing("redis-cli")
        run, suffix = ["sh"], ".sh"
    else:
        run, suffix = [sys.executable], ".py"

    def prepare(part: str) -> list[str]:
        file = tmp_path / f"{part.removeprefix('A ')}{suffix}"
        file.write_text(program(part, language), encoding="utf-8")
        return [*run, str(file)]

    return prepare


def test_the_programs_of_the_readme(
    redis_server: EmbeddedRedis, tmp_path: Path, command: Callable[[str], list[str]]
) -> None:
    env = os.environ | {"REDIS_URL": redis_server.tcp_url, "PYTHONUTF8": "1", "LC_ALL": "C.UTF-8"}
    producer, consumer = command("A producer"), command("A consumer")
    output = tmp_path / "consumer.out"

    def report(person: str) -> None:
        done = subprocess.run(
            [*producer, IMAGE, person], check=False, env=env, capture_output=True, text=True, timeout=30
        )
        assert done.returncode == 0, done.stderr

    def acts(process: subprocess.Popen[bytes], at_least: int) -> list[str]:
        def found() -> list[str]:
            text = output.read_text(encoding="utf-8")
            assert process.poll() is None, text
            return re.findall("^((?:un)?block .*)\n", text, re.MULTILINE)

        wait_until(lambda: len(found()) >= at_least, f"{at_least} acts of the consumer", 20)
        return found()

    with (
        redis.Redis.from_url(redis_server.tcp_url) as client,
        ServiceProcess(tmp_path, {"MODERATION_BROKER_URL": redis_server.tcp_url}),
        running(consumer, env, output) as process,
    ):

        def all_read() -> bool:
            (group,) = client.xinfo_groups("image.reported")
            return bool(group["lag"] == 0 and group["pending"] == 0)

        def publish(channel: str = "image.blocked", event_type: str = "", **changes: Any) -> None:
            decision = {
                **event,
                "type": event_type or f"{channel}.v1",
                "data": event["data"] | changes,
            }
            client.xadd(channel, {"__data__": json.dumps(decision)})

        for person in ("ann", "ben", "cyd", "dan", "ann"):
            report(person)
        wait_until(all_read, "the service has read five reports of four people")
        assert not client.exists("image.blocked")
        report("eve")
        assert acts(process, 1) == [f"block {IMAGE}"]

        [(_, fields)] = client.xrange("image.blocked")
        assert list(fields) == [b"__data__"]
        event = json.loads(fields[b"__data__"])
        assert event["data"]["distinct_reporters"] == 5
        assert event["data"]["reasons"] == {"nudity": 5}
        assert not client.exists("image.dead-letter")

        publish()
        publish(decided_at="2020-01-01T00:00:00.000Z")
        publish(decided_at="2990-01-01T00:00:00.000Z")
        assert acts(process, 2)[1:] == [f"block {IMAGE}"]
        publish("image.unblocked", decided_at="2989-12-31T23:59:59.999Z")
        publish("image.unblocked", decided_at="2990-01-01T00:00:00.001Z")
        assert acts(process, 3)[2:] == [f"unblock {IMAGE}"]
        publish(decided_at="2990-01-01T00:00:00.000Z")
        publish(event_type="image.paused.v1", decided_at="2991-01-01T00:00:00.000Z")
        publish(image_id="last")
        assert acts(process, 4)[3:] == ["block last"]


def test_the_service_serves_the_document(redis_server: EmbeddedRedis, tmp_path: Path) -> None:
    with ServiceProcess(tmp_path, {"MODERATION_BROKER_URL": redis_server.tcp_url}) as service:
        status, text = service.get("/asyncapi")
        service.terminate()
        assert service.wait() == 0
    assert (status, text) == (200, (ROOT / "contracts" / "asyncapi.json").read_text(encoding="utf-8"))
