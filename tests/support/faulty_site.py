"""A site whose servers are reached through fault proxies, and what is measured of a fault."""

import json
import random
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from image_moderation.embedded import EmbeddedRedis
from tests.benchmarks.compare import Fault as Kind
from tests.benchmarks.load import Pair, Sender
from tests.benchmarks.model import THRESHOLD, Expected, Message, count
from tests.benchmarks.model import Kind as MessageKind
from tests.support.brokers.harness import Harness
from tests.support.outcome import merge
from tests.support.proxy_thread import ProxyThread
from tests.support.service_process import ServiceProcess
from tests.support.site import Site
from tests.support.waiting import wait_until

ONE_REDIS = "redis"
"""Broker and store are one server."""
APART = "redis-apart"
"""The same broker, and a store beside it."""
TRUE_WITHIN = 5.0
"""Seconds within which /livez and /readyz must tell what is true."""
BUSY = 4.0
"""Further seconds that a machine may take that is busy with other tests, or a starting process."""
RECOVERY = 90.0
"""Seconds that a fault's end may lie before a new report's decision."""


@dataclass
class Row:
    """What came of one run, for the table."""

    fault: str
    broker: str
    sent: int
    lost: int
    doubled: int
    """Also what is wrong in another way."""
    repeats: int
    """Decisions that were delivered again under the same event id."""
    recovery: float | None
    """Seconds from the fault's end to the decision of an image that was reported then."""
    told: float | None
    """Seconds from the fault's beginning until every replica said that it is not ready."""
    runs: int = 1

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class FaultySite(Site):
    """A broker and a store, each behind a proxy. A context manager that ends what it started."""

    spared: ServiceProcess | None = None
    """A replica that no fault befalls alone."""

    def __init__(self, broker: str, harness: Harness, store: EmbeddedRedis, place: Path) -> None:
        """`store` is also the broker where `broker` is ONE_REDIS."""
        self.broker = broker
        self._stack = ExitStack()
        rewrite = _kafka_address(harness.port) if harness.name == "kafka" else None
        address = ("127.0.0.1", harness.port)
        self.to_broker = self._stack.enter_context(ProxyThread(address, rewrite))
        self.to_store = self.to_broker
        store_url = store.tcp_url
        service_store = ""
        if broker != ONE_REDIS:
            self.to_store = self._stack.enter_context(ProxyThread(("127.0.0.1", store.port)))
            store_url, service_store = f"{store_url}/1", f"{self.to_store.proxy.url}/1"
        super().__init__(
            harness,
            store_url,
            place,
            broker_url=harness.url_at(self.to_broker.proxy.port),
            service_store_url=service_store,
        )
        self.told: list[float] = []
        self.recoveries: list[float] = []
        self._marks: list[Expected] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for way in {self.to_broker, self.to_store}:
            way.set("pass_through")
        self.close()
        self._stack.close()

    @property
    def awake(self) -> list[ServiceProcess]:
        return [replica for replica in self.replicas if replica.running]

    @property
    def victims(self) -> list[ServiceProcess]:
        return [replica for replica in self.awake if replica is not self.spared]

    @contextmanager
    def away(self, *replicas: ServiceProcess) -> Iterator[None]:
        """Run the block once these replicas, or all, have told that they are not ready. Each stays alive."""
        begun = time.monotonic()
        some = replicas or self.awake
        wait_until(lambda: _all_say(503, some), "every replica says that it is not ready", 30)
        if not replicas:
            self.told.append(time.monotonic() - begun)
        self.assert_alive()
        yield
        self.assert_alive()

    def assert_alive(self) -> None:
        for replica in self.awake:
            assert replica.get("/livez")[0] == 200, f"{replica.log_path.stem} is not alive"

    def recover(self) -> None:
        """Report one more image, and take the time until its decision is published."""
        begun = time.monotonic()
        image = f"img-after-fault-{len(self._marks)}"
        sender = Sender(random.Random(len(self._marks)), int(time.time() * 1000) - 1000, 1000)
        messages = [
            Message(sender.body(Pair(image, f"user-{n}"), n / THRESHOLD), MessageKind.REPORT)
            for n in range(THRESHOLD)
        ]
        self._marks.append(count(messages))
        wanted = json.dumps(image).encode()
        self.publish(messages)
        while not any(wanted in block for block in self.blocks()):
            waited = time.monotonic() - begun
            left = self.left()
            assert waited < RECOVERY, f"no decision of a new report within {waited:.0f} s, {left} left"
            time.sleep(0.2)  # each look reads the whole channel
        self.recoveries.append(time.monotonic() - begun)

    def judged(self, fault: str, expected: Expected, timeout: float = 120) -> Row:
        """Wait until all is done, and judge it; the row goes into the table, whatever it says."""
        self.wait_done(timeout)
        everything = merge([expected, *self._marks])
        outcome = self.outcome(everything)
        self.lines = outcome.lines
        return Row(
            fault=fault,
            broker=self.broker,
            sent=everything.kinds.total(),
            lost=outcome.number(Kind.LOST),
            doubled=outcome.number(Kind.DOUBLED, Kind.WRONG),
            repeats=outcome.repeats,
            recovery=max(self.recoveries, default=None),
            told=max(self.told, default=None),
        )

    def assert_at_rest(self) -> None:
        """Nothing is lost, every replica is ready, and none has logged what it did not expect."""
        assert self.lines == []
        wait_until(lambda: _all_say(200, self.awake), "every replica is ready", TRUE_WITHIN + BUSY)
        self.assert_alive()
        for replica in self.replicas:
            assert "Traceback" not in replica.log_path.read_text(), replica.log_path.name
        late = [seconds for seconds in self.told if seconds > TRUE_WITHIN + BUSY]
        assert not late, f"told after {late} s that it is not ready"


def _all_say(status: int, replicas: Iterable[ServiceProcess]) -> bool:
    return all(replica.get("/readyz")[0] == status for replica in replicas)


def _kafka_address(port: int) -> Any:
    """Return what names the proxy where the broker names itself: its host, and its port in four bytes."""
    hosts = (b"127.0.0.1", b"localhost")
    found = [host + port.to_bytes(4, "big") for host in hosts]

    def rewrite(reply: bytes, own: int) -> bytes:
        for host, name in zip(hosts, found, strict=True):
            reply = reply.replace(name, host + own.to_bytes(4, "big"))
        return reply

    return rewrite
