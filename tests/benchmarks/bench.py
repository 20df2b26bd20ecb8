"""Compares the speed of the service with a plain handler that anybody could write in an afternoon (`naive`).

Both consume the same stream, loaded once, from the same private server, in turns (A B A B …), each in its
own process. Only ratios within one run are meaningful, because the machine's load varies: each pair of runs
gives one ratio, and the result is their median. Start-up doesn't count: a rate is measured between two
observed counts of acked entries, and CPU time between the same two moments.

`python -m tests.benchmarks.bench --help`; results go to build/bench/ as JSON.
"""

import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, cast

import redis
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from image_moderation.embedded import EmbeddedError, EmbeddedRedis
from tests.benchmarks.compare import differences
from tests.benchmarks.elsewhere import compare
from tests.benchmarks.load import plain_reports, publish
from tests.benchmarks.measure import MASTER, MASTER_DB, Run, contestants, measure, median
from tests.benchmarks.model import Expected, count
from tests.benchmarks.processes import Failed, bodies, interrupt_on_sigterm
from tests.support.brokers import Name
from tests.support.service_process import ROOT

WANTED_RATIO = 20
MOST_REPORTS = {"nats": 50_000, "rabbitmq": 20_000, "kafka": 30_000}
"""Limits per run: RabbitMQ is slow to fill, and Kafka's mock cluster drops messages beyond about 10 MB."""
SKEWS = {"uniform": 0.0, "zipf": 1.0}
RESULTS = ROOT / "build" / "bench"

console = Console()


def compete(folder: Path, name: str, reports: int, naive_reports: int, pairs: int) -> dict[str, Any]:
    """Load one kind of stream, run the pairs, and return the result in the format of the result file."""
    with (
        tempfile.TemporaryDirectory(dir=folder) as place,
        EmbeddedRedis(Path(place) / "data") as server,
        progress_bar() as bar,
    ):
        loading = bar.add_task(f"{name}: load", total=reports)
        expected = load(server.url, reports, SKEWS[name], lambda done: bar.update(loading, completed=done))
        runs: dict[str, list[Run]] = {"naive": [], "service": []}
        for pair in range(pairs):
            for contestant in contestants(reports, naive_reports):
                task = bar.add_task(f"{name}: {contestant.name} {pair + 1}/{pairs}", total=contestant.reports)
                runs[contestant.name].append(
                    measure(Path(place), server.url, contestant, following(bar, task))
                )
            check_outcome(server.url, expected)
        engine = f"{server.engine.name} {server.engine.version}"
    ratios = [
        ours.reports_per_second / theirs.reports_per_second
        for theirs, ours in zip(runs["naive"], runs["service"], strict=True)
    ]
    return {
        "stream": name,
        "server": engine,
        "reports": reports,
        "images_blocked": len(expected.must),
        "runs": {contestant: [asdict(run) for run in found] for contestant, found in runs.items()},
        "medians": {contestant: asdict(median(found)) for contestant, found in runs.items()},
        "ratios": ratios,
        "ratio": statistics.median(ratios),
    }


def progress_bar() -> AbstractContextManager[Progress]:
    """Return a progress bar with one line per run."""
    return Progress(
        TextColumn("{task.description:24}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        refresh_per_second=4,  # drawing takes CPU time from the contestants
    )


def following(bar: Progress, task: TaskID) -> Callable[[int], None]:
    """Return the callback by which `measure` moves the bar."""
    return lambda done: bar.update(task, completed=done)


def load(url: str, reports: int, skew: float, tell: Callable[[int], None]) -> Expected:
    """Fill the master stream; return the expected outcome."""
    messages = list(plain_reports(reports, seed=1, now=int(time.time() * 1000), skew=skew))
    with redis.Redis.from_url(url, db=MASTER_DB) as client:
        # A rewrite of the append-only file would slow down one run and not the next.
        client.config_set("auto-aof-rewrite-percentage", 0)
        for sent in publish(client, messages, stream=MASTER):
            tell(sent.total)
    return count(messages)


def check_outcome(url: str, expected: Expected) -> None:
    """Raise Failed if the service's outcome is wrong: a fast wrong answer is no result."""
    with redis.Redis.from_url(url) as client:
        wrong = differences(expected, bodies(client, "image.blocked"), bodies(client, "image.dead-letter"))
    if wrong:
        raise Failed(f"the service's outcome is wrong: {'; '.join(wrong)}")


def machine() -> dict[str, Any]:
    """Return facts that the figures depend on, and nothing that identifies the machine."""
    packages = ("faststream", "redis", "hiredis", "pydantic", "uvloop")
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "architecture": platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
    }


def table(result: dict[str, Any]) -> Table:
    """Return one result as a table."""
    made = Table(title=f"{result['stream']}, {result['reports']:,} reports", title_justify="left")
    made.add_column("median of runs")
    for column in ("reports/s", "client CPU us/report", "server CPU us/report"):
        made.add_column(column, justify="right")
    for name, run in cast("dict[str, dict[str, float]]", result["medians"]).items():
        made.add_row(
            name,
            f"{run['reports_per_second']:,.0f}",
            f"{run['client_us_per_report']:.1f}",
            f"{run['server_us_per_report']:.1f}",
        )
    spread = f"{min(result['ratios']):.1f} to {max(result['ratios']):.1f}"
    made.add_row("ratio of reports/s", f"{result['ratio']:.1f}", spread, "")
    return made


def bench(reports: int, naive_reports: int, pairs: int, *, zipf: bool) -> dict[str, Any]:
    """Measure, print and write; return what was written."""
    results = []
    with tempfile.TemporaryDirectory(prefix="image-moderation-bench-") as folder:
        for name in ("uniform", "zipf") if zipf else ("uniform",):
            results.append(compete(Path(folder), name, reports, naive_reports, pairs))
            console.print(table(results[-1]))
    written = {"machine": machine(), "results": results}
    write(written)
    return written


def bench_elsewhere(broker: str, reports: int, pairs: int) -> float:
    """Measure on another broker, print and write; return the ratio."""
    with tempfile.TemporaryDirectory(prefix="image-moderation-bench-") as folder:
        found = compare(Path(folder), broker, reports, pairs, console.print)
    spread = f"{min(found.ratios):.1f} to {max(found.ratios):.1f}"
    console.print(f"{broker}: {found.ratio:.1f} times the plain handler ({spread})")
    write({"machine": machine(), "broker": broker, "reports": reports, **asdict(found), "ratio": found.ratio})
    return found.ratio


def write(result: dict[str, Any]) -> None:
    """Write a result to build/bench/."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    console.print(f"written to {path.relative_to(ROOT)}")


def main(
    *,
    broker: Annotated[Name, typer.Option(help="The broker to measure on.")] = "redis",
    reports: Annotated[int, typer.Option(min=10_000, help="Reports in the stream.")] = 200_000,
    pairs: Annotated[int, typer.Option(min=1, help="Runs of each, alternating.")] = 3,
    naive_reports: Annotated[
        int, typer.Option(min=1_000, help="Reports that the naive handler consumes.")
    ] = 20_000,
    zipf: Annotated[
        bool, typer.Option("--zipf", help="Also measure with few images that get most reports.")
    ] = False,
    wanted: Annotated[
        bool, typer.Option("--check", help="Exit with 1 below 20 times the naive rate.")
    ] = False,
) -> None:
    """Measure the service against a plain handler, on a private server."""
    interrupt_on_sigterm()
    try:
        if broker != "redis":
            bench_elsewhere(broker, min(reports, MOST_REPORTS[broker]), pairs)
            return
        ratio = bench(reports, naive_reports, pairs, zipf=zipf)["results"][0]["ratio"]
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        raise typer.Exit(130) from None
    except (Failed, EmbeddedError, redis.RedisError, OSError) as error:
        print(f"the benchmark can't go on: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    if wanted and ratio < WANTED_RATIO:
        print(f"{ratio:.1f} times the naive rate; at least {WANTED_RATIO} is required", file=sys.stderr)
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
