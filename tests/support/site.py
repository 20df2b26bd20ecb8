"""A whole site for fault tests: a broker, a store beside it, replicas of the service, a producer."""

import io
import json
import os
import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch

import redis

from image_moderation.cli.main import run as run_command
from tests.benchmarks.model import Expected, Letter, Message
from tests.support.brokers.harness import Harness
from tests.support.outcome import Outcome, Stored, judge
from tests.support.service_process import ServiceProcess

REPORTED, REVIEWED, BLOCKED, DEAD = "image.reported", "image.reviewed", "image.blocked", "image.dead-letter"
MODULE = "tests.support.failing_service"
IDLE = 15.0
"""Seconds for which nothing may happen beside a lag while all replicas say that they are ready. A Kafka group
takes six to notice a dead member, and some more to share out its partitions.
"""
LOOKED_AT = 20
"""Images of which `inspect` is asked."""


class Site:
    """A broker, a store beside it, and replicas of the service."""

    def __init__(
        self,
        harness: Harness,
        store_url: str,
        tmp_path: Path,
        *,
        broker_url: str = "",
        service_store_url: str | None = None,
    ) -> None:
        """`store_url` is the test's own way. The service's are `broker_url`, by default the harness's, and
        `service_store_url`, by default the test's; "" for a store that is the broker.
        """
        self.harness = harness
        self.store: Any = redis.Redis.from_url(store_url)
        self.store_url = store_url
        service_store = store_url if service_store_url is None else service_store_url
        self._env = {
            "MODERATION_BROKER_URL": broker_url or harness.url,
            "MODERATION_STORE_URL": service_store or None,
            "REDELIVER_AFTER": "1000",
        }
        self._tmp_path = tmp_path
        self.replicas: list[ServiceProcess] = []
        self.sent_again: list[Letter] = []
        """Malformed messages that were published and not confirmed, and then published again."""

    def replica(self, **env: str) -> ServiceProcess:
        """Start one more."""
        return self.make_replica(**env).start()

    def make_replica(self, *, wait: str = "ready", **env: str) -> ServiceProcess:
        name = f"replica-{len(self.replicas)}"
        process = ServiceProcess(
            self._tmp_path, self._env | env, module=MODULE, name=name, timeout=180, wait=wait
        )
        self.replicas.append(process)
        return process

    def publish(self, messages: Sequence[Message]) -> None:
        self.harness.publish(REPORTED, [message.body for message in messages])

    def undelivered(self) -> int:
        """Return the number of decisions in the outbox."""
        with self.store.pipeline(transaction=False) as pipeline:
            for number in range(64):
                pipeline.zcard(f"moderation:{{p{number:02}}}:outbox")
            return sum(pipeline.execute())

    def left(self) -> int:
        """Return what is not done with yet: messages, and decisions in the outbox."""
        # In this order: a message is acked only after its decision is in the outbox.
        waiting = self.harness.waiting(REPORTED) + self.harness.waiting(REVIEWED)
        return waiting + self.undelivered()

    def done(self) -> bool:
        return self.left() == 0

    def wait_done(self, timeout: float = 60) -> None:
        """Wait until nothing is left. Raises AssertionError, early where replicas are ready and idle."""
        begun = moved = time.monotonic()
        before = -1
        while left := self.left():
            now = time.monotonic()
            if left != before or not self.all_ready():
                before, moved = left, now
            assert now - moved < IDLE, f"all alive, ready and idle, and {left} messages or decisions wait"
            assert now - begun < timeout, f"not within {timeout:g} s: {left} messages or decisions still wait"
            time.sleep(0.1)

    def all_ready(self) -> bool:
        running = [replica for replica in self.replicas if replica.running]
        return bool(running) and all(replica.get("/readyz")[0] == 200 for replica in running)

    def blocks(self) -> list[bytes]:
        return [found.body for found in self.harness.read(BLOCKED)]

    def letters(self) -> list[bytes]:
        return [found.body for found in self.harness.read(DEAD)]

    def stored(self, expected: Expected) -> Stored:
        """Return what the commands `blocked` and `inspect` tell, the latter of some images."""
        blocked = [one["image_id"] for one in map(json.loads, self.ask("blocked", "--json").splitlines())]
        rng = random.Random(len(blocked))
        some = rng.sample(sorted(expected.open), min(LOOKED_AT, len(expected.open)))
        counts = {
            name: json.loads(self.ask("inspect", name, "--json"))["distinct_reporters"] for name in some
        }
        return Stored(blocked, counts)

    def ask(self, *command: str) -> str:
        """Run a command in this process, on the site's servers; return what it prints."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MODERATION_")}
        kept |= {
            "MODERATION_BROKER_URL": self.harness.commands_url,
            "MODERATION_STORE_URL": self.store_url,
        }
        with patch.dict(os.environ, kept, clear=True), redirect_stdout(io.StringIO()) as out:
            code = run_command(command)
        assert code == 0, f"{' '.join(command)} ended with {code}"
        return out.getvalue()

    def outcome(self, expected: Expected) -> Outcome:
        """Judge what has come of the messages."""
        features = self.harness.features
        return judge(
            expected,
            self.blocks(),
            self.letters(),
            stored=self.stored(expected),
            may_repeat=not features.keeps_repeats_out,
            own_position=features.own_position,
            sent_again=self.sent_again,
        )

    def wrong(self, expected: Expected) -> list[str]:
        """Return the differences from the expected outcome; where the broker repeats, but for repeats."""
        return self.outcome(expected).lines

    def close(self) -> None:
        for process in self.replicas:
            process.stop()
        self.store.close()


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
                self._site.sent_again += [letter for message in piece if (letter := message.letter)]
                time.sleep(0.2)
            else:
                return

    @contextmanager
    def running(self, timeout: float = 120) -> Iterator[None]:
        """Publish beside the block, and return once all is published."""
        self.start()
        yield
        self.join(timeout)
        assert not self.is_alive(), f"not all was published within {timeout:g} s"
