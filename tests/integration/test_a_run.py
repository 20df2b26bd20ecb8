"""What a run of the service says: on standard error JSON alone where JSON is chosen, and no warning without a
reason; in /metrics no series of FastStream's that never moves.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from image_moderation.embedded import EmbeddedRedis
from tests.support.brokers.harness import Harness
from tests.support.service_process import ServiceProcess
from tests.support.waiting import wait_until

REPORT = json.dumps(
    {
        "specversion": "1.0",
        "id": "r-1",
        "source": "/gallery",
        "type": "image.reported.v1",
        "data": {"image_id": "img-42", "reporter_id": "user-7"},
    }
).encode()


def still(metrics: str) -> set[str]:
    """The families of FastStream's of which no sample is above 0."""
    moved: dict[str, bool] = {}
    for family in text_string_to_metric_families(metrics):
        if family.name.startswith("faststream_"):
            moved[family.name] = any(
                sample.value > 0
                for sample in family.samples
                if not sample.name.endswith(("_bucket", "_count"))
            )
    assert moved["faststream_received_messages"]
    # These two are 0 by their nature: nothing is in hand now, and nothing has failed.
    at_rest = {"faststream_received_messages_in_process", "faststream_received_processed_messages_exceptions"}
    return {name for name, has_moved in moved.items() if not has_moved} - at_rest


def test_a_start_and_a_normal_stop_are_json_without_a_warning(
    broker: Harness, redis_server: EmbeddedRedis, tmp_path: Path
) -> None:
    env = {
        "MODERATION_BROKER_URL": broker.url,
        "MODERATION_STORE_URL": f"{redis_server.tcp_url}/1",
        "MODERATION_BLOCK_THRESHOLD": "1",
        "PYTHONWARNINGS": "default",
    }
    with ServiceProcess(tmp_path, env, timeout=40) as service:
        broker.publish("image.reported", [REPORT])
        wait_until(lambda: broker.read("image.blocked"), "it is blocked", 20)
        assert still(service.get("/metrics")[1]) == set()
        service.terminate()
        assert service.wait() == 0
        lines = [json.loads(line) for line in service.log.splitlines()]
    assert {"started", "decision", "draining", "stopped"} <= {line["event"] for line in lines}
    warnings = [line for line in lines if line["level"] not in ("debug", "info")]
    # Kafka's group takes three seconds to let a first member in; that is said, as any wait.
    assert [line for line in warnings if (line.get("check"), broker.name) != ("intake", "kafka")] == []


def run(*command: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MODERATION_")}
    return subprocess.run(
        [sys.executable, *command],
        env=inherited | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "variables", "says"),
    [
        ((), {}, "MODERATION_BROKER_URL: got nothing"),
        ((), {"MODERATION_BROKER_URL": "redis://h", "MODERATION_LOG_FORMAT": "xml"}, "MODERATION_LOG_FORMAT"),
        (("--wrong",), {}, "No such option"),
    ],
)
def test_why_serve_does_not_start_is_json(
    arguments: tuple[str, ...], variables: dict[str, str], says: str
) -> None:
    """Where standard error is no terminal and nothing else is said, JSON is chosen."""
    ended = run("-m", "image_moderation", "serve", *arguments, **variables)
    assert (ended.returncode, ended.stdout) == (2, "")
    (line,) = [json.loads(line) for line in ended.stderr.splitlines()]
    assert (line["event"], line["level"]) == ("serve_failed", "error")
    assert says in line["error"]


def test_where_console_is_chosen_it_is_a_plain_line() -> None:
    ended = run("-m", "image_moderation", "serve", MODERATION_LOG_FORMAT="console")
    assert ended.stderr.startswith("MODERATION_BROKER_URL: got nothing; ")


def test_what_nobody_catches_is_json() -> None:
    program = """
import threading
from image_moderation.telemetry import logs

class Odd:
    def __del__(self):
        raise ValueError("finalizer")

def fail():
    raise ValueError("thread")

logs.configure("info", "json")
logs.log_uncaught()
Odd()
thread = threading.Thread(target=fail)
thread.start()
thread.join()
raise ValueError("main")
"""
    ended = run("-c", program)
    assert ended.returncode == 1
    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    assert [line["event"] for line in lines] == ["uncaught"] * 3
    assert [line["exception"][0]["exc_value"] for line in lines] == ["finalizer", "thread", "main"]
