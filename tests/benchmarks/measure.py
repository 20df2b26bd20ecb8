"""One run of the benchmark: a contestant consumes a fresh copy of the stream and is observed from outside."""

import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import redis

from tests.benchmarks.contestants import Contestant
from tests.benchmarks.load import STREAM
from tests.benchmarks.pinning import CLIENT, pinned
from tests.benchmarks.processes import (
    Failed,
    check,
    cpu_seconds,
    most_memory,
    progress,
    running,
    waiting_decisions,
)
from tests.support.service_process import ServiceProcess

MASTER, MASTER_DB = "master", 1
"""The loaded stream, in another database than the one that is emptied before each run."""
RUN_SECONDS = 120
POLL = 0.01


@dataclass(frozen=True, slots=True)
class Run:
    """The measurements of one run. Times are CPU time, of all processes of a side together."""

    reports_per_second: float
    client_us_per_report: float
    server_us_per_report: float
    most_client_megabytes: float = float("nan")
    """The most that one process of the client had resident."""


def fresh_copy(client: redis.Redis, url: str) -> None:
    """Empty the database and give it a copy of the master stream."""
    client.flushdb()
    with redis.Redis.from_url(url, db=MASTER_DB) as master:
        master.copy(MASTER, STREAM, destination_db=0, replace=True)


def measure(
    place: Path,
    url: str,
    server: int,
    contestant: Contestant,
    reports: int,
    *,
    processes: int = 1,
    cores: set[int] = CLIENT,
    tell: Callable[[int], None] = lambda _: None,
) -> Run:
    """Let a contestant consume a fresh copy of the stream; call `tell` with the number of reports done.

    `server` is the server's process id. The first tenth is the warm-up.
    """
    with redis.Redis.from_url(url) as client, ExitStack() as stack:
        fresh_copy(client, url)
        started: list[ServiceProcess] = []
        with pinned(cores):
            for number in range(processes):
                folder = place / str(number)
                folder.mkdir(exist_ok=True)
                started.append(stack.enter_context(running(contestant.start(folder, url))))
        observed = Observed(client, server, started, contestant, tell)
        first = observed.at(reports // 10)
        last = observed.at(reports)
        if contestant.publishes:
            observed.await_published()
        memory = max(most_memory(process.pid) for process in started)
    done, seconds = last.done - first.done, last.at - first.at
    if done <= 0:
        raise Failed("too few reports: the run ended before it could be measured; use a larger --reports")
    return Run(
        done / seconds,
        (last.client_cpu - first.client_cpu) / done * 1e6,
        (last.server_cpu - first.server_cpu) / done * 1e6,
        memory,
    )


@dataclass(frozen=True, slots=True)
class Moment:
    """All readings at one moment."""

    at: float
    done: int
    client_cpu: float
    server_cpu: float


@dataclass(frozen=True, slots=True)
class Observed:
    """What a run looks at."""

    client: redis.Redis
    server: int
    processes: list[ServiceProcess]
    contestant: Contestant
    tell: Callable[[int], None]

    def at(self, target: int) -> Moment:
        """Return the first observed moment at which `target` reports were processed."""
        deadline = time.monotonic() + RUN_SECONDS
        while True:
            now = progress(self.client, STREAM, self.contestant.group)
            if now is not None:
                self.tell(min(now.done, target))
                if now.done >= target:
                    client_cpu = sum(cpu_seconds(process.pid) for process in self.processes)
                    return Moment(now.at, now.done, client_cpu, cpu_seconds(self.server))
            self._check()
            if time.monotonic() > deadline:
                raise Failed(
                    f"{self.contestant.name} did not process {target:,} reports within {RUN_SECONDS} s"
                )
            time.sleep(POLL)

    def await_published(self) -> None:
        """Return when no decision waits to be published."""
        deadline = time.monotonic() + 30
        while waiting_decisions(self.client):
            self._check()
            if time.monotonic() > deadline:
                raise Failed("decisions were not published within 30 s")
            time.sleep(POLL)

    def _check(self) -> None:
        for process in self.processes:
            check(process)


def median(runs: list[Run]) -> Run:
    """Return the median of each measurement."""
    return Run(
        statistics.median(run.reports_per_second for run in runs),
        statistics.median(run.client_us_per_report for run in runs),
        statistics.median(run.server_us_per_report for run in runs),
        statistics.median(run.most_client_megabytes for run in runs),
    )
