"""The real service on every broker: a pass with a kill and a stop under load, and with `make faults ARGS=-s`
100,000 reports while replicas and the broker are killed.
"""

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import redis

from image_moderation.embedded import EmbeddedRedis
from tests.benchmarks.compare import differences
from tests.benchmarks.model import Expected, Kind, Message, count
from tests.support import special_ids
from tests.support.brokers import BROKERS, OLD_NATS
from tests.support.brokers.harness import Harness
from tests.support.outcome import make_sample
from tests.support.service_process import ServiceProcess
from tests.support.waiting import wait_until

REPORTED, REVIEWED, BLOCKED, DEAD = "image.reported", "image.reviewed", "image.blocked", "image.dead-letter"
MODULE = "tests.support.failing_service"
SEED = 20
SIZE = 100_000


class Site:
    """A broker, a store beside it, and replicas of the service."""

    def __init__(self, harness: Harness, store_url: str, tmp_path: Path) -> None:
        self.harness = harness
        self.store: Any = redis.Redis.from_url(store_url)
        self._env = {
            "MODERATION_BROKER_URL": harness.url,
            "MODERATION_STORE_URL": store_url,
            "REDELIVER_AFTER": "1000",
        }
        self._tmp_path = tmp_path
        self.replicas: list[ServiceProcess] = []

    def replica(self, **env: str) -> ServiceProcess:
        name = f"replica-{len(self.replicas)}"
        process = ServiceProcess(self._tmp_path, self._env | env, module=MODULE, name=name, timeout=40)
        self.replicas.append(process)
        return process.start()

    def publish(self, messages: Sequence[Message]) -> None:
        self.harness.publish(REPORTED, [message.body for message in messages])

    def undelivered(self) -> int:
        """Return the number of decisions in the outbox."""
        return sum(self.store.zcard(f"moderation:{{p{n:02}}}:outbox") for n in range(64))

    def done(self) -> bool:
        waiting = self.harness.waiting(REPORTED) + self.harness.waiting(REVIEWED)
        return waiting == 0 and self.undelivered() == 0

    def wait_done(self, timeout: float = 60) -> None:
        wait_until(self.done, "every message and decision done with", timeout)

    def blocks(self) -> list[bytes]:
        return [found.body for found in self.harness.read(BLOCKED)]

    def letters(self) -> list[bytes]:
        return [found.body for found in self.harness.read(DEAD)]

    def wrong(self, expected: Expected) -> list[str]:
        """Return the differences from the expected outcome, ignoring repeats under one id."""
        blocks = {json.loads(body)["id"]: body for body in self.blocks()}
        letters = self.letters()
        if self.harness.features.own_position:
            letters = list({json.loads(body)["id"]: body for body in letters}.values())
        found = differences(expected, list(blocks.values()), letters)
        if self.harness.features.own_position:
            return found
        # Dead letters of identical messages have one id, so their number is unknown.
        parked = {json.loads(body)["data"]["sha256"] for body in letters}
        missing = {letter.sha256 for letter in expected.letters} ^ parked
        return [line for line in found if "dead letter" not in line] + sorted(missing)

    def repeats(self) -> int:
        """Return how many blocks are repeats of an event id."""
        return sum(times - 1 for times in Counter(json.loads(body)["id"] for body in self.blocks()).values())

    def close(self) -> None:
        for process in self.replicas:
            process.stop()
        self.store.close()


@pytest.fixture
def site(broker: Harness, redis_server: EmbeddedRedis, tmp_path: Path) -> Iterator[Site]:
    site = Site(broker, f"{redis_server.tcp_url}/1", tmp_path)
    yield site
    site.close()


@pytest.mark.parametrize("broker", [*BROKERS, OLD_NATS], indirect=True)
def test_one_pass(site: Site) -> None:
    messages, _ = make_sample()
    messages += special_ids.messages()
    for number, place in enumerate((0, len(messages) // 2, len(messages) + 2)):
        # At the first, a middle and the last position, where batch handling most likely fails.
        messages.insert(place, Message(b"\xff no event %d" % number, Kind.MALFORMED, "not_utf8"))
    expected = count(messages)
    third = len(messages) // 3
    site.publish(messages[:third])  # published before the first start
    service = site.replica()
    site.publish(messages[third : 2 * third])
    assert service.kill() == -9
    service.start()
    site.publish(messages[2 * third :])
    service.terminate()
    assert service.wait() == 0
    service.start()
    site.wait_done()
    assert site.wrong(expected) == []
    assert "Traceback" not in service.log_path.read_text()


def reports(image: str, count: int = 5) -> list[bytes]:
    return [
        json.dumps(
            {
                "specversion": "1.0",
                "id": f"{image}-{n}",
                "source": "/gallery",
                "type": "image.reported.v1",
                "data": {"image_id": image, "reporter_id": f"user-{n}"},
            }
        ).encode()
        for n in range(count)
    ]


@pytest.mark.parametrize("broker", ["rabbitmq"], indirect=True)  # the other brokers accept it
def test_a_decision_that_nobody_is_bound_for(site: Site) -> None:
    service = site.replica()
    site.harness.unbind(BLOCKED)
    site.harness.publish(REPORTED, reports("a"))
    wait_until(
        lambda: "moderation_unroutable_total 0.0" not in service.get("/metrics")[1], "it is alerted", 20
    )
    site.harness.publish(REPORTED, reports("b"))
    wait_until(lambda: site.harness.waiting(REPORTED) == 0, "reading goes on")
    assert site.undelivered() == 2
    assert service.get("/readyz")[0] == 200
    site.harness.bind(BLOCKED)
    site.wait_done()
    assert {json.loads(body)["data"]["image_id"] for body in site.blocks()} == {"a", "b"}


class Producer(threading.Thread):
    """Publishes at a steady rate, and repeats a piece that was not confirmed."""

    def __init__(self, site: Site, messages: Sequence[Message], rate: float, piece: int = 500) -> None:
        super().__init__(daemon=True)
        self._site, self._messages, self._rate, self._piece = site, messages, rate, piece

    def run(self) -> None:
        begun = time.monotonic()
        for first in range(0, len(self._messages), self._piece):
            time.sleep(max(0.0, begun + first / self._rate - time.monotonic()))
            self._send(self._messages[first : first + self._piece])

    def _send(self, piece: Sequence[Message]) -> None:
        while True:
            try:
                self._site.publish(piece)
            except Exception:  # noqa: BLE001 - any error that a client raises while its broker is unavailable
                time.sleep(0.2)
            else:
                return


@pytest.mark.parametrize("broker", [*BROKERS, OLD_NATS], indirect=True)
@pytest.mark.soak
@pytest.mark.timeout(600)
def test_a_hundred_thousand_reports_under_kills(site: Site) -> None:
    rng = random.Random(SEED)
    messages, expected = make_sample(SIZE, seed=SEED, malformed=0.01, images=8_000, people=4_000)
    replicas = [site.replica(), site.replica()]
    producer = Producer(site, messages, rate=2_500)
    begun = time.monotonic()
    producer.start()
    for kill in range(5):
        time.sleep(rng.uniform(1.0, 4.0))
        victim = rng.choice(replicas)
        assert victim.kill() == -9
        victim.start()
        if kill == 2 and site.harness.features.survives_kill:
            site.harness.kill()
            site.harness.restart()
    producer.join(300)
    assert not producer.is_alive()
    site.wait_done(240)
    parked = {json.loads(body)["data"]["sha256"] for body in site.letters()}
    print(
        f"\n{site.harness.name}: {len(messages)} messages, 5 SIGKILLs of one of two replicas, "
        f"{int(site.harness.features.survives_kill)} of the broker, {time.monotonic() - begun:.1f} s: "
        f"{len(set(site.blocks()))} images blocked of {len(expected.must)}, "
        f"{site.repeats()} repeats by event id, "
        f"{len(parked)} different dead letters of {len(expected.letters)}"
    )
    # Unconfirmed messages are published again, so there may be more dead letters, but not fewer.
    assert [line for line in site.wrong(expected) if not line.startswith("a dead letter that")] == []


@pytest.mark.soak
@pytest.mark.timeout(180)
@pytest.mark.parametrize("broker", ["redis", "nats", "rabbitmq"], indirect=True)  # these keep their data
def test_the_broker_is_killed_while_idle(site: Site) -> None:
    service = site.replica()
    site.harness.publish(REPORTED, reports("before"))
    site.wait_done()
    site.harness.kill()
    service.wait_ready(ready=False)
    site.harness.restart()
    service.wait_ready()
    site.harness.publish(REPORTED, reports("after"))
    site.wait_done()
    assert {json.loads(body)["data"]["image_id"] for body in site.blocks()} == {"before", "after"}
    service.terminate()
    assert service.wait() == 0
