"""One run of the benchmark: a contestant consumes a fresh copy of the stream and is observed from outside."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import redis

from tests.benchmarks import naive
from tests.benchmarks.load import STREAM
from tests.benchmarks.processes import (
    Failed,
    check,
    cpu_seconds,
    progress,
    running,
    server_cpu_seconds,
    waiting_decisions,
)
from tests.support.service_process import ServiceProcess

MASTER, MASTER_DB = "master", 1
"""The loaded stream, in another database than the one that is emptied before each run."""
RUN_SECONDS = 120
POLL = 0.01


@dataclass(frozen=True, slots=True)
class Contestant:
    """Something that consumes the stream."""

    name: str
    group: str
    start: Callable[[Path, str], ServiceProcess]
    reports: int
    """Number of reports to consume; the first tenth is the warm-up."""


@dataclass(frozen=True, slots=True)
class Run:
    """The measurements of one run. Times are CPU time."""

    reports_per_second: float
    client_us_per_report: float
    server_us_per_report: float


def contestants(reports: int, naive_reports: int) -> tuple[Contestant, Contestant]:
    """Return the naive handler and the service."""
    return (
        Contestant(
            "naive",
            naive.GROUP,
            lambda place, url: ServiceProcess(
                place,
                {"BENCH_URL": url},
                module="tests.benchmarks.naive",
                arguments=(),
                wait="",
                name="naive",
            ),
            min(reports, naive_reports),
        ),
        Contestant(
            "service",
            "image-moderation",
            lambda place, url: ServiceProcess(place, {"MODERATION_BROKER_URL": url}, wait=""),
            reports,
        ),
    )


def measure(place: Path, url: str, contestant: Contestant, tell: Callable[[int], None]) -> Run:
    """Let a contestant consume a fresh copy of the stream; call `tell` with the number of reports done."""
    with redis.Redis.from_url(url) as client, redis.Redis.from_url(url, db=MASTER_DB) as master:
        client.flushdb()
        master.copy(MASTER, STREAM, destination_db=0, replace=True)
        with running(contestant.start(place, url)) as process:
            first = sample_at(client, process, contestant, contestant.reports // 10, tell)
            last = sample_at(client, process, contestant, contestant.reports, tell)
            if contestant.group != naive.GROUP:
                await_published(client, process)
    done, seconds = last.done - first.done, last.at - first.at
    if done <= 0:
        raise Failed("too few reports: the run ended before it could be measured; use a larger --reports")
    return Run(
        done / seconds,
        (last.client_cpu - first.client_cpu) / done * 1e6,
        (last.server_cpu - first.server_cpu) / done * 1e6,
    )


@dataclass(frozen=True, slots=True)
class Moment:
    """All readings at one moment."""

    at: float
    done: int
    client_cpu: float
    server_cpu: float


def sample_at(
    client: redis.Redis,
    process: ServiceProcess,
    contestant: Contestant,
    target: int,
    tell: Callable[[int], None],
) -> Moment:
    """Return the first observed moment at which `target` reports were processed."""
    deadline = time.monotonic() + RUN_SECONDS
    while True:
        now = progress(client, STREAM, contestant.group)
        if now is not None:
            tell(min(now.done, contestant.reports))
            if now.done >= target:
                return Moment(now.at, now.done, cpu_seconds(process.pid), server_cpu_seconds(client))
        check(process)
        if time.monotonic() > deadline:
            raise Failed(f"{contestant.name} did not process {target:,} reports within {RUN_SECONDS} s")
        time.sleep(POLL)


def await_published(client: redis.Redis, process: ServiceProcess) -> None:
    """Return when no decision waits to be published."""
    deadline = time.monotonic() + 30
    while waiting_decisions(client):
        check(process)
        if time.monotonic() > deadline:
            raise Failed("decisions were not published within 30 s")
        time.sleep(POLL)


def median(runs: list[Run]) -> Run:
    """Return the median of each measurement."""
    return Run(
        statistics.median(run.reports_per_second for run in runs),
        statistics.median(run.client_us_per_report for run in runs),
        statistics.median(run.server_us_per_report for run in runs),
    )
