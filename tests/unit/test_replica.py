"""The life of a replica: its loops and the rules of readiness, how it starts, and how it drains."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from image_moderation import loops, replica
from image_moderation.brokers.port import Damage, Figures
from image_moderation.domain.decision import Backlog
from image_moderation.domain.errors import BrokerUnavailable, Misconfigured, StoreUnavailable
from image_moderation.domain.policy import Policy
from image_moderation.loops import Loop
from image_moderation.replica import Replica
from image_moderation.telemetry.health import Health
from image_moderation.telemetry.metrics import Metrics
from image_moderation.telemetry.tracing import Tracing

NOW = 1_795_500_000_000


class Parts:
    """The parts of a replica, each of which answers what a test has set, and one log of the calls."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.errors: dict[str, list[Exception]] = {}
        self.oldest: int | None = None
        self.refused_at = 0
        self.metrics = Metrics(version="1", policy=Policy())
        self.harm = Damage()
        self.failing = ""
        self.health = Health(on_ready=self.metrics.ready)

    def call(self, name: str) -> None:
        self.calls.append(name)
        if self.errors.get(name):
            raise self.errors[name].pop(0)

    def value(self, name: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"moderation_{name}")

    # The store
    async def open(self) -> None:
        self.call("open")

    async def check(self) -> None:
        self.call("check")

    async def oldest_review(self) -> int | None:
        return NOW - 60_000

    @property
    def breaker(self) -> "Parts":
        return self

    async def is_open(self, now: int) -> bool:
        assert now == NOW
        return True

    async def aclose(self) -> None:
        self.call("close")

    # The outbox
    async def backlog(self) -> Backlog:
        return Backlog(0 if self.oldest is None else 1, self.oldest)

    def refused_since(self, time: int) -> bool:
        return self.refused_at >= time

    # The transport
    async def start(self, handler: Callable[..., Awaitable[None]]) -> None:
        assert handler == self.process
        self.call("start")

    async def figures(self) -> Figures:
        self.call("figures")
        return Figures(7, 3, 4.5)

    def damage(self) -> Damage:
        return self.harm

    async def revive(self) -> None:
        self.call("revive")

    async def keep(self) -> None:
        self.call("keep")

    async def reclaim(self) -> None:
        self.call("reclaim")

    async def stop(self, drain_timeout: float) -> None:
        self.call(f"stop {drain_timeout:g}")

    # The intake
    async def process(self, messages: object) -> None:
        raise NotImplementedError

    async def watch_store(self) -> None:
        await loops.watch_store(
            cast("Any", self), cast("Any", self), self.metrics, self.health, clock=lambda: NOW
        )


class Http:
    def __init__(self, parts: Parts) -> None:
        self.parts = parts

    async def start(self) -> None:
        self.parts.call("http start")

    async def stop(self) -> None:
        self.parts.call("http stop")


@pytest.fixture
def parts() -> Parts:
    return Parts()


def replica_of(parts: Parts, *running: Loop) -> Replica:
    anything = cast("Any", parts)
    return Replica(
        consumer="one",
        shutdown_timeout=25,
        store_client=anything,
        store=anything,
        transport=anything,
        intake=anything,
        loops=running,
        health=parts.health,
        http=cast("Any", Http(parts)),
        tracing=Tracing(),
    )


# --- loops


async def test_a_loop_goes_on_after_an_outage_and_ends_once_asked_to(parts: Parts) -> None:
    stop = asyncio.Event()
    parts.errors["once"] = [BrokerUnavailable("away"), StoreUnavailable("away")]

    async def once() -> None:
        if len(parts.calls) == 3:
            stop.set()
        parts.call("once")

    async with asyncio.timeout(5):
        await Loop(0.001, once).run(stop)
    assert parts.calls == ["once"] * 4


async def test_a_loop_that_is_refused_says_so_once() -> None:
    stop = asyncio.Event()
    answers = [*[StoreUnavailable("no permission")] * 5, None, *[StoreUnavailable("no permission")] * 3]

    async def once() -> None:
        error = answers.pop(0)
        if not answers:
            stop.set()
        if error:
            raise error

    with capture_logs() as logs:
        await Loop(0.001, once).run(stop)
    told = [(one["event"], one["error"]) for one in logs if one["log_level"] == "warning"]
    assert told == [("loop_failing", "no permission")] * 2, "once for each time of trouble"


async def test_a_loop_ends_with_an_error_that_is_no_outage(parts: Parts) -> None:
    parts.errors["once"] = [KeyError("fault")]

    async def once() -> None:
        parts.call("once")

    with pytest.raises(KeyError, match="fault"):
        await Loop(0.001, once).run(asyncio.Event())


async def test_the_store_sets_its_checks_and_gauges(parts: Parts) -> None:
    parts.oldest = NOW - 2_000
    await parts.watch_store()
    assert (parts.health.ok("store"), parts.health.ok("outbox")) == (True, True)
    assert (parts.value("outbox_pending"), parts.value("outbox_oldest_age_seconds")) == (1, 2)
    assert (parts.value("oldest_unanswered_review_age_seconds"), parts.value("breaker_open")) == (60, 1)
    parts.errors["check"] = [StoreUnavailable("refused")]
    await parts.watch_store()
    assert parts.health.report()["checks"]["store"] == "refused"
    assert parts.health.ok("outbox"), "what is not known is not changed"


async def test_an_old_outbox_is_unavailable_unless_the_routing_refused_lately(parts: Parts) -> None:
    parts.oldest = NOW - 15_000
    await parts.watch_store()
    assert parts.health.report()["checks"]["outbox"] == "decisions wait to be published"
    parts.refused_at = NOW - 60_000
    await parts.watch_store()
    assert parts.health.ok("outbox")
    parts.refused_at -= 1
    await parts.watch_store()
    assert not parts.health.ok("outbox")


async def test_the_broker_sets_its_checks_and_gauges(parts: Parts) -> None:
    transport = cast("Any", parts)
    await loops.watch_broker(transport, parts.metrics, parts.health)
    await loops.watch_readers(transport, transport, parts.health)
    assert (parts.health.ok("broker"), parts.health.ok("intake")) == (True, True)
    gauges = ("intake_lag", "intake_pending", "intake_oldest_pending_age_seconds")
    assert [parts.value(name) for name in gauges] == [7, 3, 4.5]
    parts.errors = {"figures": [BrokerUnavailable("refused")], "revive": [BrokerUnavailable("no group")]}
    await loops.watch_broker(transport, parts.metrics, parts.health)
    await loops.watch_readers(transport, transport, parts.health)
    checks = parts.health.report()["checks"]
    assert (checks["broker"], checks["intake"]) == ("refused", "no group")
    parts.failing = "apply waits: refused"
    await loops.watch_readers(transport, transport, parts.health)
    assert parts.health.report()["checks"]["intake"] == "apply waits: refused"


async def test_what_is_in_hand_is_kept_but_while_a_step_waits(parts: Parts) -> None:
    transport = cast("Any", parts)
    for store, failing, calls in ((False, "", 0), (True, "apply waits: refused", 0), (True, "", 1)):
        parts.health.set("store", ok=store, why="away")
        parts.failing = failing
        await loops.watch_readers(transport, transport, parts.health)
        assert parts.calls.count("keep") == calls


async def test_harm_to_a_channel_is_told_and_leaves_the_broker_in_use(parts: Parts) -> None:
    parts.harm = Damage(600.0, 2, "image.reported: harmed")
    for _ in range(2):
        await loops.watch_broker(cast("Any", parts), parts.metrics, parts.health)
    checks = parts.health.report()["checks"]
    assert (checks["broker"], checks["channels"]) == ("ok", "image.reported: harmed")
    assert (parts.value("channel_ahead_seconds"), parts.value("deleted_unread_total")) == (600.0, 4)
    parts.harm = Damage()
    await loops.watch_broker(cast("Any", parts), parts.metrics, parts.health)
    assert parts.health.ok("channels")


async def test_nothing_is_reclaimed_during_an_outage(parts: Parts) -> None:
    transport = cast("Any", parts)
    for away, calls in (("store", 0), ("broker", 0), ("intake", 0), ("", 1)):
        for check in ("store", "broker", "intake"):
            parts.health.set(check, ok=check != away, why="away")
        await loops.reclaim(transport, parts.health)
        assert parts.calls.count("reclaim") == calls


# --- replica


async def test_a_replica_waits_for_its_servers_serves_and_drains(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica, "RETRY_DELAY", 0.001)
    monkeypatch.setattr(replica, "_collect_garbage_less_often", lambda: None)
    parts.errors = {"open": [StoreUnavailable("away")], "start": [BrokerUnavailable("away")]}
    stop = asyncio.Event()

    async def end() -> None:
        parts.call("serve")
        stop.set()

    async with asyncio.timeout(5):
        await replica_of(parts, Loop(1, end)).run(stop)
    assert parts.calls == [
        *("http start", "open", "open", "start", "start"),
        *("serve", "stop 25", "http stop", "close"),
    ]
    assert parts.health.report()["checks"]["intake"] == "draining"


async def test_a_round_that_has_begun_is_finished_and_one_that_hangs_is_not_waited_for(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica, "_collect_garbage_less_often", lambda: None)
    monkeypatch.setattr(replica, "LAST_ROUND", 0.2)
    stop = asyncio.Event()

    async def end() -> None:
        stop.set()
        await asyncio.sleep(0.01)
        parts.call("finished")

    async def hang() -> None:
        await asyncio.Event().wait()

    async with asyncio.timeout(5):
        await replica_of(parts, Loop(1, end), Loop(1, hang)).run(stop)
    assert parts.calls == ["http start", "open", "start", "finished", "stop 25", "http stop", "close"]


async def test_a_loop_that_fails_ends_the_replica_once_it_has_drained(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica, "_collect_garbage_less_often", lambda: None)

    async def fail() -> None:
        raise KeyError("fault")

    async with asyncio.timeout(5):
        with pytest.raises(KeyError, match="fault"):
            await replica_of(parts, Loop(1, fail)).run(asyncio.Event())
    assert parts.calls == ["http start", "open", "start", "stop 25", "http stop", "close"]


async def test_a_server_that_must_not_be_used_ends_the_start(parts: Parts) -> None:
    parts.errors["open"] = [Misconfigured("it may evict")]
    with pytest.raises(Misconfigured, match="it may evict"):
        await replica_of(parts).run(asyncio.Event())
    assert parts.calls == ["http start", "open", "http stop", "close"]


async def test_a_replica_that_is_stopped_while_it_waits_never_serves(parts: Parts) -> None:
    stop = asyncio.Event()

    class Stopping(Health):
        def set(self, name: str, ok: bool, why: str = "") -> None:
            super().set(name, ok, why)
            stop.set()

    parts.health = Stopping()
    parts.errors["open"] = [StoreUnavailable("away")]
    async with asyncio.timeout(5):
        await replica_of(parts).run(stop)
    assert parts.calls == ["http start", "open", "http stop", "close"]
