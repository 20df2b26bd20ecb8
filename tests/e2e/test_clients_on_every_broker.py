"""The Node.js programs of contracts/clients, which use only the contract, against the real service."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from image_moderation.embedded import EmbeddedRedis
from tests.support.brokers.harness import Harness
from tests.support.contract_programs import CLIENTS, node_modules, running
from tests.support.service_process import ServiceProcess
from tests.support.waiting import wait_until

IMAGE = "写真/桜🌸.png"
ADDRESS: dict[str, Callable[[str], dict[str, str]]] = {
    "kafka": lambda url: {"KAFKA_BROKERS": url.removeprefix("kafka://")},
    "rabbitmq": lambda url: {"AMQP_URL": url},
    "nats": lambda url: {"NATS_URL": url},
}
"""The environment variable of each program for its broker's address."""


@pytest.mark.parametrize("broker", sorted(ADDRESS), indirect=True)
def test_a_producer_and_a_consumer(broker: Harness, redis_server: EmbeddedRedis, tmp_path: Path) -> None:
    folder = tmp_path / "clients"
    shutil.copytree(CLIENTS / broker.name, folder)
    (folder / "node_modules").symlink_to(node_modules(), target_is_directory=True)
    env = os.environ | ADDRESS[broker.name](broker.url)
    output = tmp_path / "consumer.out"
    service = ServiceProcess(
        tmp_path, {"MODERATION_BROKER_URL": broker.url, "MODERATION_STORE_URL": f"{redis_server.tcp_url}/1"}
    )

    def report(person: str) -> None:
        command = ["node", str(folder / "producer.mjs"), IMAGE, person]
        done = subprocess.run(command, check=False, env=env, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr

    def acts() -> list[str]:
        text = output.read_text(encoding="utf-8")
        assert process.poll() is None, text
        return re.findall("^((?:un)?block .*)\n", text, re.MULTILINE)

    with service, running(["node", str(folder / "consumer.mjs")], env, output) as process:
        for person in ("ann", "ben", "cyd", "dan", "ann"):
            report(person)
        wait_until(lambda: broker.waiting("image.reported") == 0, "five reports of four people are read", 20)
        assert broker.read("image.blocked") == []
        report("eve")
        wait_until(acts, "the consumer gets the block", 30)
        # The consumer ignores an event that it has already applied, and older events.
        (blocked,) = {found.body for found in broker.read("image.blocked")}
        broker.publish("image.blocked", [blocked, blocked.replace(b'"decided_at":"2', b'"decided_at":"1')])
        broker.publish("image.blocked", [blocked.replace(IMAGE.encode(), b"last")])
        wait_until(lambda: len(acts()) >= 2, "the consumer has read on", 20)
        assert acts() == [f"block {IMAGE}", "block last"]
