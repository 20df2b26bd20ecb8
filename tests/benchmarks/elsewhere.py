"""Compares the speed of the service with the plain handler on a broker other than Redis.

As in `bench`, both consume the same backlog in turns, each in its own process, and each pair gives one ratio.
Brokers count differently, so the contestants count themselves: the handler prints its count, the service has
it in its metrics.
"""

import re
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import redis

from image_moderation.embedded import EmbeddedRedis
from tests.benchmarks.load import plain_reports
from tests.benchmarks.processes import Failed, check, running
from tests.support.brokers import start
from tests.support.brokers.harness import Harness
from tests.support.service_process import ServiceProcess

RUN_SECONDS = 120
PIECE = 1_000


@dataclass(frozen=True, slots=True)
class Comparison:
    """Reports per second of each run, in pairs."""

    naive: Sequence[float]
    service: Sequence[float]

    @property
    def ratios(self) -> list[float]:
        """One ratio per pair."""
        return [ours / theirs for theirs, ours in zip(self.naive, self.service, strict=True)]

    @property
    def ratio(self) -> float:
        """The median of the ratios."""
        return statistics.median(self.ratios)


def compare(place: Path, name: str, reports: int, pairs: int, tell: Callable[[str], None]) -> Comparison:
    """Run the pairs; call `tell` with a line after each run."""
    bodies = [message.body for message in plain_reports(reports, seed=1, now=int(time.time() * 1000))]
    rates: dict[str, list[float]] = {"naive": [], "service": []}
    with EmbeddedRedis(place / "data") as store:
        folder = place / name
        folder.mkdir()
        harness = start(name, folder, store)
        try:
            for _ in range(pairs):
                for contestant, found in rates.items():
                    found.append(_run(place, harness, store, contestant, bodies))
                    tell(f"{name}: {contestant} {found[-1]:,.0f} reports/s")
        finally:
            harness.close()
    return Comparison(rates["naive"], rates["service"])


def _run(
    place: Path, harness: Harness, store: EmbeddedRedis, contestant: str, bodies: Sequence[bytes]
) -> float:
    harness.fresh()
    with redis.Redis.from_url(store.url) as client:
        client.flushall()
    for first in range(0, len(bodies), PIECE):
        harness.publish("image.reported", bodies[first : first + PIECE])
    if contestant == "naive":
        process = ServiceProcess(
            place,
            {"BENCH_URL": harness.site_url, "BENCH_STORE_URL": store.url},
            module="tests.benchmarks.naive_elsewhere",
            arguments=(),
            wait="",
            name="naive",
        )
        done = _told
    else:
        env = {"MODERATION_BROKER_URL": harness.url, "MODERATION_STORE_URL": store.url}
        process = ServiceProcess(place, env, wait="http")
        done = _measured
    with running(process):
        first_at, first_done = _await(process, done, len(bodies) // 10)
        last_at, last_done = _await(process, done, len(bodies) * 99 // 100)
    if last_done <= first_done:
        raise Failed("too few reports: the run ended before it could be measured; use a larger --reports")
    return (last_done - first_done) / (last_at - first_at)


def _await(
    process: ServiceProcess, done: Callable[[ServiceProcess], tuple[float, int]], target: int
) -> tuple[float, int]:
    deadline = time.monotonic() + RUN_SECONDS
    while True:
        at, count = done(process)
        if count >= target:
            return at, count
        check(process)
        if time.monotonic() > deadline:
            raise Failed(f"{target:,} reports were not processed within {RUN_SECONDS} s")
        time.sleep(0.02)


def _told(process: ServiceProcess) -> tuple[float, int]:
    lines = re.findall(r"^(\d+) (\d+\.\d+)$", process.log, re.MULTILINE)
    return (float(lines[-1][1]), int(lines[-1][0])) if lines else (0.0, 0)


def _measured(process: ServiceProcess) -> tuple[float, int]:
    _, text = process.get("/metrics")
    counts = re.findall(r"^moderation_reports_total\{.*\} (\d+)\.0$", text, re.MULTILINE)
    return time.monotonic(), sum(map(int, counts))
