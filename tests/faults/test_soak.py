"""100,000 reports, without and with kills: `make faults ARGS=-s` prints the outcome."""

import json
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import ConstantBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from image_moderation.embedded import EmbeddedRedis
from tests.benchmarks.load import Sent, publish
from tests.benchmarks.model import Kind, Message
from tests.support.outcome import (
    BLOCKED,
    DEAD,
    GROUP,
    REPORTED,
    all_done,
    entries,
    make_sample,
    wait_done,
    wrong,
)
from tests.support.servers import RedisServers
from tests.support.service_process import ServiceProcess

pytestmark = [pytest.mark.soak, pytest.mark.timeout(600)]

SIZE = 100_000
KILLS = 10
SEED = 20


@pytest.fixture
def server(redis_servers: RedisServers, tmp_path: Path) -> Iterator[EmbeddedRedis]:
    with redis_servers.new(tmp_path / "valkey", appendfsync="always") as server:
        yield server


def connect(server: EmbeddedRedis) -> Any:
    """Return a client that retries while its server restarts."""
    return redis.Redis.from_url(server.url, retry=Retry(ConstantBackoff(0.1), 100))


class Producer(threading.Thread):
    """Publishes in the background, and continues at the first message that was not confirmed.

    A pipeline whose reply was lost is sent again: the same events with the same ids, as the contract
    requires of a producer.
    """

    def __init__(self, server: EmbeddedRedis, messages: list[Message], rate: float) -> None:
        super().__init__(daemon=True)
        self._url = server.url
        self._messages = messages
        self._rate = rate
        self.done = 0

    def run(self) -> None:
        while self.done < len(self._messages):
            client: Any = redis.Redis.from_url(self._url)
            base = self.done
            try:
                for sent in publish(client, self._messages[base:], rate=self._rate):
                    self._note(base, sent)
            except (RedisConnectionError, OSError):
                time.sleep(0.1)

    def _note(self, base: int, sent: Sent) -> None:
        self.done = base + sent.total


def report(client: Any, messages: list[Message], seconds: float, kills: int) -> None:
    kinds = {kind.value: sum(message.kind is kind for message in messages) for kind in Kind}
    blocks, letters = entries(client, BLOCKED), entries(client, DEAD)
    group = client.xinfo_groups(REPORTED)[0]
    print(
        f"\n{len(messages)} messages {kinds}, {kills} kills, {seconds:.1f} s: "
        f"{len(blocks)} blocks of {len(set(blocks))} images, {len(letters)} dead letters, "
        f"pending {group['pending']}, lag {group['lag']}, left in the stream {client.xlen(REPORTED)}"
    )


def test_a_hundred_thousand_reports(server: EmbeddedRedis, tmp_path: Path) -> None:
    client = connect(server)
    messages, expected = make_sample(SIZE, seed=SEED, malformed=0.01, images=8_000, people=4_000)
    with ServiceProcess(tmp_path, {"MODERATION_BROKER_URL": server.url}):
        started = time.monotonic()
        for _ in publish(client, messages):
            pass
        wait_done(client, timeout=120)
        report(client, messages, time.monotonic() - started, 0)
    assert wrong(client, expected) == []
    assert len(entries(client, DEAD)) == sum(expected.letters.values())


def test_a_hundred_thousand_reports_under_kills(server: EmbeddedRedis, tmp_path: Path) -> None:
    rng = random.Random(SEED)
    client = connect(server)
    messages, expected = make_sample(SIZE, seed=SEED, malformed=0.01, images=8_000, people=4_000)
    producer = Producer(server, messages, rate=SIZE / 40)
    service = ServiceProcess(tmp_path, {"MODERATION_BROKER_URL": server.url})
    started = time.monotonic()
    try:
        service.start()
        producer.start()
        for kill in range(KILLS):
            time.sleep(rng.uniform(0.2, 3.0))
            assert service.kill() == -9
            service.start()
            if kill == KILLS // 2:
                server.kill()
                server.restart()
                service.wait_ready()
        producer.join(120)
        assert not producer.is_alive()
        wait_done(client, timeout=120)
        report(client, messages, time.monotonic() - started, KILLS)
    finally:
        service.stop()
    assert all_done(client)
    assert client.xpending(REPORTED, GROUP)["pending"] == 0
    # A message whose confirmation was lost is published twice, and a dead letter whose ack was lost is
    # parked twice. Nothing else may be there, and nothing may be missing.
    parked = {json.loads(letter)["data"]["sha256"] for letter in entries(client, DEAD)}
    assert parked == {letter.sha256 for letter in expected.letters}
    assert [line for line in wrong(client, expected) if not line.startswith("a dead letter that")] == []
