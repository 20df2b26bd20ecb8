"""Measures the service as users run it: speed, latency, memory and start, beside others that do the same job.

Every contestant consumes the same stream from the same private server, in turns, each in its own process. The
server has one core and its client another. Only ratios within one run are meaningful, because the machine's
load varies: each round gives one ratio, and the result is their median. CPU time comes from the operating
system; noise disturbs it least. A contestant whose blocks are not the right ones ends the run.
docs/performance.md states the method.

`python -m tests.benchmarks.bench --help`; results go to build/bench/ as JSON and as a page with plots.
"""

import asyncio
import json
import os
import platform
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import redis
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from image_moderation.embedded import EmbeddedError, EmbeddedRedis
from tests.benchmarks import tables
from tests.benchmarks.contestants import Contestant, node, plain_handler, service
from tests.benchmarks.elsewhere import compare
from tests.benchmarks.footprint import (
    Bytes,
    bytes_of_service,
    bytes_of_sets,
    fill_alike,
    measure_start,
    server_microseconds,
)
from tests.benchmarks.latency import measure_latency
from tests.benchmarks.measure import measure
from tests.benchmarks.page import render
from tests.benchmarks.pinning import SERVER, pinned
from tests.benchmarks.processes import Failed, interrupt_on_sigterm
from tests.benchmarks.throughput import SKEWS, compete, load
from tests.support import npm
from tests.support.brokers import Name
from tests.support.service_process import ROOT

WANTED_RATIO = 20
MOST_REPORTS = {"nats": 50_000, "rabbitmq": 20_000, "kafka": 30_000}
"""Limits per run: RabbitMQ is slow to fill, and Kafka's mock cluster drops messages beyond about 10 MB."""
RESULTS = ROOT / "build" / "bench"
CASES = (1_000_000, 5_000_000)

console = Console()


class Part(StrEnum):
    """A part of the benchmark."""

    THROUGHPUT = "throughput"
    LATENCY = "latency"
    DURABILITY = "durability"
    PROCESSES = "processes"
    MEMORY = "memory"
    CASES = "cases"
    START = "start"


QUICK = (Part.THROUGHPUT, Part.LATENCY, Part.START)


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured."""

    reports: int
    rounds: int
    streams: Sequence[str]
    rates: Sequence[int]
    seconds: float
    """Of each latency run."""


class Bench:
    """One run of the benchmark, in a folder of its own."""

    def __init__(self, folder: Path, extent: Extent, bar: Progress) -> None:
        self._folder = folder
        self._extent = extent
        self._bar = bar
        self._tasks: dict[str, TaskID] = {}
        share = min(1.0, 20_000 / extent.reports)
        self._contestants = [plain_handler(share), service()]
        try:
            self._contestants.append(node(folder))
        except npm.NpmError as error:
            console.print(f"without Node.js: {error}")

    def run(self, part: Part) -> Any:
        """Measure one part; return what goes into the result."""
        measured: Callable[[], Any] = getattr(self, part.value)
        return measured()

    def throughput(self) -> list[dict[str, Any]]:
        """Reports a second of every contestant, and the ceiling, for each stream."""
        return [
            compete(
                self._folder,
                stream,
                self._contestants,
                reports=self._extent.reports,
                rounds=self._extent.rounds,
                tell=self._tell,
            ).written()
            for stream in self._extent.streams
        ]

    def latency(self) -> list[dict[str, Any]]:
        """From report to block, open loop. The plain handler follows at most a few thousand a second."""
        found = []
        with self._server("latency") as server:
            for rate in self._extent.rates:
                able = [one for one in self._contestants if one.publishes or rate <= 1_000]
                for number in range(self._extent.rounds):
                    for contestant in able:
                        run = measure_latency(
                            self._folder,
                            server.url,
                            server.socket_path,
                            contestant,
                            rate=rate,
                            seconds=self._extent.seconds,
                        )
                        found.append({"name": contestant.name, **asdict(run)})
                        self._tell(f"latency at {rate:,}/s", number + 1, self._extent.rounds)
        return found

    def durability(self) -> dict[str, list[dict[str, float]]]:
        """With the append-only file written at each change, and once a second."""
        found: dict[str, list[dict[str, float]]] = {"everysec": [], "always": []}
        with self._server("durability") as server, redis.Redis.from_url(server.url) as client:
            load(server.url, self._extent.reports, SKEWS["uniform"], lambda _: None)
            for number in range(self._extent.rounds):
                for setting, runs in found.items():
                    client.config_set("appendfsync", setting)
                    runs.append(asdict(self._consume(server, service())))
                self._tell("durability", number + 1, self._extent.rounds)
        return found

    def processes(self) -> dict[str, list[dict[str, float]]]:
        """With one, two and four processes of the service on one server, on all cores."""
        found: dict[str, list[dict[str, float]]] = {"1": [], "2": [], "4": []}
        with self._server("processes", cores=set()) as server:
            load(server.url, self._extent.reports, SKEWS["uniform"], lambda _: None)
            for number in range(self._extent.rounds):
                for count, runs in found.items():
                    runs.append(asdict(self._consume(server, service(), int(count), set())))
                self._tell("processes", number + 1, self._extent.rounds)
        return found

    def _consume(
        self, server: EmbeddedRedis, contestant: Contestant, processes: int = 1, cores: set[int] | None = None
    ) -> Any:
        options: dict[str, Any] = {} if cores is None else {"cores": cores}
        return measure(
            self._folder,
            server.url,
            server.pid or 0,
            contestant,
            self._extent.reports,
            processes=processes,
            **options,
        )

    def memory(self) -> list[dict[str, float]]:
        """Bytes of Redis an image."""
        found = []
        for reporters in (1, 10):
            with self._server(f"service-{reporters}") as server:
                ours = bytes_of_service(server.url, reporters)
            with self._server(f"sets-{reporters}") as server:
                found.append(asdict(Bytes(reporters, ours, bytes_of_sets(server.url, reporters))))
        return found

    def cases(self) -> dict[str, list[float]]:
        """The server's CPU time a report with a million and with five million cases, in turns."""
        with ExitStack() as stack:
            servers = {images: stack.enter_context(self._server(f"cases-{images}")) for images in CASES}
            for images, server in servers.items():
                fill_alike(server.url, images, partial(self._tell_cases, images))
            found: dict[str, list[float]] = {f"{images}": [] for images in CASES}
            for number in range(self._extent.rounds):
                for images, server in servers.items():
                    measuring = server_microseconds(
                        server.url, server.pid or 0, images, self._extent.reports, f"one-more-{number}"
                    )
                    found[f"{images}"].append(asyncio.run(measuring))
            return found

    def start(self) -> dict[str, Any]:
        """From exec to ready."""
        with self._server("start") as server:
            return asdict(measure_start(self._folder, server.url, 5))

    @contextmanager
    def _server(self, name: str, cores: set[int] = SERVER) -> Iterator[EmbeddedRedis]:
        server = EmbeddedRedis(self._folder / f"data-{name}")
        with pinned(cores):
            server.start()
        try:
            yield server
        finally:
            server.stop()

    def _tell_cases(self, images: int, done: int) -> None:
        self._tell(f"{images:,} cases", done, images)

    def _tell(self, name: str, done: int, total: int) -> None:
        if name not in self._tasks:
            self._tasks[name] = self._bar.add_task(name, total=total)
        self._bar.update(self._tasks[name], completed=done)


def machine() -> dict[str, Any]:
    """Return facts that the figures depend on, and nothing that identifies the machine."""
    packages = ("faststream", "redis", "hiredis", "pydantic", "uvloop")
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "architecture": platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
        "optimised": "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or ""),
        **{package: version(package) for package in packages},
    }


def bench(parts: Sequence[Part], extent: Extent) -> dict[str, Any]:
    """Measure, print and write; return what was written."""
    result: dict[str, Any] = {"machine": machine()}
    with tempfile.TemporaryDirectory(prefix="image-moderation-bench-") as folder, progress_bar() as bar:
        measured = Bench(Path(folder), extent, bar)
        for part in parts:
            result[part] = measured.run(part)
    shown = tables.of(result)
    for title, rows in shown:
        table = Table(title=title, title_justify="left")
        for number, name in enumerate(rows[0]):
            table.add_column(name, justify="right" if number else "left")
        for row in rows[1:]:
            table.add_row(*row)
        console.print(table)
    path = write(result)
    page = path.with_suffix(".html")
    page.write_text(render(result, shown))
    console.print(f"the page is {page.relative_to(ROOT)}")
    return result


def progress_bar() -> Progress:
    """Return a progress bar with one line per run."""
    return Progress(
        TextColumn("{task.description:28}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        refresh_per_second=2,  # drawing takes CPU time from the contestants
    )


def bench_elsewhere(broker: str, reports: int, rounds: int) -> None:
    """Measure on another broker, print and write."""
    with tempfile.TemporaryDirectory(prefix="image-moderation-bench-") as folder:
        found = compare(Path(folder), broker, reports, rounds, console.print)
    spread = f"{min(found.ratios):.1f} to {max(found.ratios):.1f}"
    console.print(f"{broker}: {found.ratio:.1f} times the plain handler ({spread})")
    write({"machine": machine(), "broker": broker, "reports": reports, **asdict(found), "ratio": found.ratio})


def write(result: dict[str, Any]) -> Path:
    """Write a result to build/bench/, and return its path."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    console.print(f"written to {path.relative_to(ROOT)}")
    return path


def main(
    *,
    broker: Annotated[Name, typer.Option(help="The broker to measure on.")] = "redis",
    quick: Annotated[
        bool, typer.Option("--quick", help="In about a minute: one round of the main parts.")
    ] = False,
    only: Annotated[list[Part] | None, typer.Option(help="Measure this part alone; may be repeated.")] = None,
    reports: Annotated[int, typer.Option(min=10_000, help="Reports in the stream.")] = 200_000,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds, in each of which everybody runs once.")] = 5,
    wanted: Annotated[
        bool, typer.Option("--check", help="Exit with 1 below 20 times the plain handler's rate.")
    ] = False,
) -> None:
    """Measure the service beside a plain handler, Node.js and the server's ceiling, on private servers."""
    interrupt_on_sigterm()
    if quick:
        extent = Extent(100_000, 1, ["uniform"], [1_000], 5.0)
    else:
        extent = Extent(reports, rounds, list(SKEWS), [1_000, 10_000], 8.0)
    try:
        if broker != "redis":
            bench_elsewhere(broker, min(reports, MOST_REPORTS[broker]), rounds)
            return
        result = bench(only or (QUICK if quick else list(Part)), extent)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        raise typer.Exit(130) from None
    except (Failed, EmbeddedError, redis.RedisError, OSError) as error:
        print(f"the benchmark can't go on: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    ratio = (
        tables.ratio(result["throughput"][0], "service", "naive")[0]
        if "throughput" in result
        else WANTED_RATIO
    )
    if wanted and ratio < WANTED_RATIO:
        print(
            f"{ratio:.1f} times the plain handler's rate; at least {WANTED_RATIO} is required",
            file=sys.stderr,
        )
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
