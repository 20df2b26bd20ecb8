"""Measures what a report costs each part of a larger set-up, and holds a small model to it.

`python -m tests.benchmarks.scale`. All runs on this machine and on all of its cores: one, two or four
processes of the service, one Redis as broker, and as store the same Redis, or a Cluster of one or three
primaries. docs/scale.md has the model, its figures, and what follows for larger sites.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import redis
import typer
from rich.console import Console
from rich.table import Table

from image_moderation.embedded import EmbeddedError, EmbeddedRedis, find_engine
from tests.benchmarks.contestants import GROUP
from tests.benchmarks.load import STREAM
from tests.benchmarks.measure import MASTER, MASTER_DB, RUN_SECONDS
from tests.benchmarks.processes import Failed, check, cpu_seconds, interrupt_on_sigterm, progress, running
from tests.benchmarks.throughput import SKEWS, load
from tests.support.service_process import ROOT, ServiceProcess
from tests.support.valkey_cluster import ValkeyCluster

PROCESSES = (1, 2, 4)
PRIMARIES = (0, 1, 3)
"""Of the Cluster that is the store; 0: the broker is the store as well."""
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
POLL = 0.01

console = Console()


@dataclass(frozen=True, slots=True)
class Cost:
    """Microseconds of CPU time a report, of all processes of a kind together. The broker may be the store."""

    service: float
    broker: float
    store: float


@dataclass(frozen=True, slots=True)
class Run:
    """One run."""

    processes: int
    primaries: int
    reports_per_second: float
    cost: Cost
    busy: float
    """Of all cores, the share that these processes had: less than 1 where others took the rest."""


def model(cost: Cost, processes: int, primaries: int, cores: float) -> float:
    """Return the reports a second that a set-up reaches. One thread of every process does the work."""
    limits = [cores / (cost.service + cost.broker + cost.store), processes / cost.service, 1 / cost.broker]
    if primaries:
        limits.append(primaries / cost.store)
    return min(limits) * 1e6


def measure(
    folder: Path, broker: EmbeddedRedis, store: ValkeyCluster | None, processes: int, reports: int
) -> Run:
    """Let so many processes consume the stream, once all are ready. The first tenth is the warm-up."""
    with redis.Redis.from_url(broker.url) as client, ExitStack() as stack:
        client.flushdb()
        stores = [_emptied(url) for url in store.node_urls] if store else []
        env = {"MODERATION_BROKER_URL": broker.url}
        if store:
            env["MODERATION_STORE_URL"] = store.url
        started: list[ServiceProcess] = []
        for number in range(processes):
            place = folder / str(number)
            place.mkdir(exist_ok=True)
            started.append(stack.enter_context(running(ServiceProcess(place, env, wait="ready"))))
        with redis.Redis.from_url(broker.url, db=MASTER_DB) as master:
            # The group goes with the empty stream; the service makes it again within a second.
            master.copy(MASTER, STREAM, destination_db=0, replace=True)

        def reading(target: int) -> tuple[float, int, list[float]]:
            at, done = _reached(client, target, started)
            kinds: Sequence[Iterable[int]] = ([one.pid for one in started], [broker.pid or 0], stores)
            return at, done, [sum(map(cpu_seconds, kind)) for kind in kinds]

        first_at, first_done, before = reading(reports // 10)
        last_at, last_done, after = reading(reports)
    done, seconds = last_done - first_done, last_at - first_at
    if done <= 0:
        raise Failed("too few reports: the run ended before it could be measured; use a larger --reports")
    used = [late - early for late, early in zip(after, before, strict=True)]
    cost = Cost(*(one / done * 1e6 for one in used))
    return Run(processes, len(stores), done / seconds, cost, sum(used) / seconds / CORES)


def _emptied(url: str) -> int:
    """Empty a primary, let it write each second as a store does, and return its process id."""
    with redis.Redis.from_url(url) as node:
        node.flushall()
        node.config_set("appendonly", "yes")
        node.config_set("auto-aof-rewrite-percentage", 0)
        return int(node.info("server")["process_id"])


def _reached(client: redis.Redis, target: int, started: Sequence[ServiceProcess]) -> tuple[float, int]:
    """Return when so many reports were acked, and how many were then."""
    deadline = time.monotonic() + RUN_SECONDS
    while time.monotonic() < deadline:
        now = progress(client, STREAM, GROUP)
        if now is not None and now.done >= target:
            return now.at, now.done
        for process in started:
            check(process)
        time.sleep(POLL)
    raise Failed(f"{target:,} reports were not processed within {RUN_SECONDS} s")


@contextmanager
def _stores(folder: Path) -> Iterator[dict[int, ValkeyCluster | None]]:
    with ExitStack() as stack:
        found: dict[int, ValkeyCluster | None] = {}
        for primaries in PRIMARIES:
            cluster = ValkeyCluster(folder / f"store-{primaries}", find_engine(), nodes=primaries)
            found[primaries] = stack.enter_context(cluster) if primaries else None
        yield found


def scale(reports: int, rounds: int, tell: Callable[[str], None]) -> list[Run]:
    """Run every set-up once in each round, in turns."""
    runs = []
    with (
        tempfile.TemporaryDirectory(prefix="image-moderation-scale-") as name,
        EmbeddedRedis(Path(name) / "broker") as broker,
        _stores(Path(name)) as stores,
    ):
        load(broker.url, reports, SKEWS["uniform"], lambda _: None)
        for number in range(rounds):
            for primaries, store in stores.items():
                for processes in PROCESSES:
                    run = measure(Path(name), broker, store, processes, reports)
                    runs.append(run)
                    costs = ", ".join(f"{kind} {us:.1f} us" for kind, us in asdict(run.cost).items())
                    tell(
                        f"round {number + 1} of {rounds}: {primaries} primaries, {processes} processes: "
                        f"{run.reports_per_second:,.0f} reports/s, {costs}, busy {run.busy:.2f}"
                    )
    return runs


def table(runs: Sequence[Run]) -> Table:
    """Return the median run of each set-up, and how far from it the model is.

    The model takes the costs of one process with the same store, so that it says something of the others.
    """
    names = (
        "primaries",
        "processes",
        "reports/s",
        "service us",
        "broker us",
        "store us",
        "busy",
        "model",
        "off",
    )
    shown = Table(*names)
    for primaries in PRIMARIES:
        known: Cost | None = None
        for processes in PROCESSES:
            mine = [run for run in runs if (run.processes, run.primaries) == (processes, primaries)]
            run = sorted(mine, key=lambda one: one.reports_per_second)[len(mine) // 2]
            known = known or run.cost
            said = model(known, processes, primaries, CORES * run.busy)
            shown.add_row(
                f"{primaries}",
                f"{processes}",
                f"{run.reports_per_second:,.0f}",
                *(f"{us:.1f}" for us in asdict(run.cost).values()),
                f"{run.busy:.2f}",
                f"{said:,.0f}",
                f"{said / run.reports_per_second - 1:+.0%}",
            )
    return shown


def main(
    *,
    reports: Annotated[int, typer.Option(min=10_000, help="Reports in the stream.")] = 200_000,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds, in each of which every set-up runs once.")] = 3,
) -> None:
    """Measure one, two and four processes, with the broker, one primary and three primaries as store."""
    interrupt_on_sigterm()
    try:
        runs = scale(reports, rounds, console.print)
    except (Failed, EmbeddedError, redis.RedisError, OSError) as error:
        print(f"the benchmark can't go on: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    console.print(table(runs))
    path = ROOT / "build" / "bench" / f"scale-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(run) for run in runs], indent=2) + "\n")
    console.print(f"written to {path.relative_to(ROOT)}")


if __name__ == "__main__":
    typer.run(main)
