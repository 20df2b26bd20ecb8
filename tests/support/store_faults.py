"""The service under a steady stream of reports while its store is broken, judged by the model."""

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from tests.benchmarks.model import Message
from tests.support.outcome import BLOCKED, GROUP, REPORTED, entries, make_sample, wrong
from tests.support.service_process import ServiceProcess
from tests.support.waiting import wait_until

READY_WITHIN = 5.0
"""Seconds after a fault, and after its end, from which on `/readyz` tells the truth."""


class Producer(threading.Thread):
    """Publishes at a steady rate. A piece that was not confirmed is sent again, as the contract asks."""

    def __init__(
        self, publish: Callable[[Sequence[Message]], None], messages: Sequence[Message], rate: float
    ):
        super().__init__(daemon=True)
        self._publish, self._messages, self._rate = publish, messages, rate
        self.given_up = threading.Event()

    def run(self) -> None:
        begun, piece = time.monotonic(), max(1, round(self._rate / 50))
        for first in range(0, len(self._messages), piece):
            time.sleep(max(0.0, begun + first / self._rate - time.monotonic()))
            while not self.given_up.is_set():
                try:
                    self._publish(self._messages[first : first + piece])
                    break
                except Exception:  # noqa: BLE001 - any error of a client whose server is away
                    time.sleep(0.1)


class UnderLoad:
    """One replica of the service, and a producer beside it; a context manager."""

    def __init__(
        self,
        tmp_path: Path,
        broker: Callable[[], Any],
        env: Mapping[str, str],
        *,
        undelivered: Callable[[], int],
        publish: Callable[[Sequence[Message]], None] | None = None,
        size: int = 3_000,
        rate: float = 500,
    ) -> None:
        """`broker` gives a client of the broker, which may be another after a fail-over; `undelivered` counts
        the decisions in the store's outboxes, and raises while it can't.
        """
        self.messages, self.expected = make_sample(size, malformed=0)
        self._broker, self._undelivered = broker, undelivered
        self.service = ServiceProcess(
            tmp_path,
            {"MODERATION_BATCH_SIZE": "100", "REDELIVER_AFTER": "1000", **env},
            module="tests.support.failing_service",
            timeout=60,
        )
        self.producer = Producer(publish or self._xadd, self.messages, rate)
        self.recoveries: list[float] = []

    def __enter__(self) -> Self:
        self.service.start()
        self.producer.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.producer.given_up.set()
        self.producer.join(30)
        self.service.stop()

    def _xadd(self, messages: Sequence[Message]) -> None:
        with self._broker() as client, client.pipeline(transaction=False) as pipeline:
            for message in messages:
                pipeline.xadd(REPORTED, {"__data__": message.body})
            pipeline.execute()

    @property
    def checks(self) -> dict[str, Any]:
        answer = self.service.get("/readyz")[1]
        return dict(json.loads(answer)["checks"]) if answer.startswith("{") else {}

    def tells(self, words: str, check: str = "store") -> bool:
        """Return whether the check says so now; `words` is a regular expression."""
        assert self.service.get("/livez")[0] == 200
        return bool(re.search(words, str(self.checks.get(check, ""))))

    def wait_told(self, words: str, check: str = "store", within: float = READY_WITHIN) -> None:
        """Wait until `/readyz` has these words; `/livez` goes on answering."""
        try:
            wait_until(lambda: self.tells(words, check), f"{check} says {words!r}", within)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.checks}") from None

    @contextmanager
    def recovery(self) -> Iterator[None]:
        """Measure from here until, once the block has ended, the service is ready and decides again."""
        begun = time.monotonic()
        yield
        decided = len(self.blocks())
        wait_until(lambda: self.service.get("/readyz")[0] == 200, "it is ready again", 4 * READY_WITHIN)
        wait_until(
            lambda: not self.producer.is_alive() or len(self.blocks()) > decided,
            "it decides",
            4 * READY_WITHIN,
        )
        self.recoveries.append(time.monotonic() - begun)

    def backlog(self) -> int:
        """Return how many reports the group has not acked."""
        with self._broker() as client:
            group = next(one for one in client.xinfo_groups(REPORTED) if one["name"] == GROUP.encode())
            return int(group["lag"] or 0) + int(group["pending"])

    def _done(self) -> bool:
        try:
            return self.backlog() == 0 and self._undelivered() == 0
        except Exception:  # noqa: BLE001 - a server that is away, in the words of whatever client
            return False

    def wait_done(self, timeout: float = 150) -> None:
        self.producer.join(timeout)
        assert not self.producer.is_alive()
        wait_until(self._done, "every report and decision done with", timeout)

    def blocks(self) -> list[bytes]:
        with self._broker() as client:
            return entries(client, BLOCKED)

    def wait_for_another_block(self) -> None:
        blocked = len(self.blocks())
        wait_until(lambda: len(self.blocks()) > blocked, "work is under way", 30)

    def judge(self, fault: str, broker: str) -> None:
        """Compare with the model, and print the row for docs/reliability.md."""
        blocks = [json.loads(body) for body in self.blocks()]
        images = {block["data"]["image_id"] for block in blocks}
        lost = self.expected.must - images
        doubled = sum(times - 1 for times in Counter(block["id"] for block in blocks).values())
        longest = f"{max(self.recoveries):.1f} s" if self.recoveries else "-"
        print(f"\n| {fault} | {broker} | 1 | {len(self.messages)} | {len(lost)} | {doubled} | {longest} |")
        with self._broker() as client:
            assert wrong(client, self.expected) == []
        assert doubled == 0
