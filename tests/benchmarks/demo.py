"""The demo, in half a minute: a private broker, the real service, a realistic load, a check of the outcome.

`python -m tests.benchmarks.demo` exits with 0 if exactly the expected images were blocked, once each, and
every malformed message became a dead letter; with 1 if not, or if something could not be started.
With `--broker nats` and so on, it uses another broker, whose server must be installed.
"""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated

import pytest
import redis
import typer
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from image_moderation.embedded import EmbeddedError, EmbeddedRedis
from tests.benchmarks.compare import differences, image_of
from tests.benchmarks.load import GANG, sample
from tests.benchmarks.model import Expected, Kind, Message, count
from tests.benchmarks.processes import Failed, check, interrupt_on_sigterm, running, waiting_decisions
from tests.support.brokers import Name, start
from tests.support.brokers.harness import Harness
from tests.support.service_process import ServiceProcess

PROMISE = (
    "Thanks for reporting! This image will be blocked automatically once several people have reported it."
)
REPORTED, BLOCKED, DEAD = "image.reported", "image.blocked", "image.dead-letter"
DRAIN_SECONDS = 30
PIECE_SECONDS = 0.02
"""Seconds between publications: short enough to look like a steady stream."""
SHOWN = 8

MISSING = (pytest.skip.Exception, pytest.fail.Exception)
"""Raised by a harness whose server is not installed."""

console = Console()


@dataclass(slots=True)
class Outcome:
    """The outcome of one run."""

    blocks: list[bytes]
    letters: list[bytes]
    seconds: float
    """From the first message published until nothing was left to do."""
    sent: list[int]
    """Time at which each message was published, in milliseconds."""
    left: str = ""
    """The remaining work after DRAIN_SECONDS, as one line; "" if there is none."""


@dataclass(slots=True)
class Stage:
    """The running servers and the service."""

    harness: Harness
    store: redis.Redis
    service: ServiceProcess

    def blocks(self) -> list[bytes]:
        """Return the blocks that are published so far."""
        return [found.body for found in self.harness.read(BLOCKED)]


@contextmanager
def stage(name: str, place: Path) -> Iterator[Stage]:
    """Start a private broker, a private store, and the service."""
    with EmbeddedRedis(place / "data") as server:
        folder = place / name
        folder.mkdir()
        harness = start(name, folder, server)
        try:
            harness.fresh()
            # On Redis, one server is both broker and store; the other brokers need a store beside them.
            store = {} if name == "redis" else {"MODERATION_STORE_URL": server.url}
            service = ServiceProcess(place, {"MODERATION_BROKER_URL": harness.url, **store})
            with running(service), redis.Redis.from_url(server.url) as client:
                yield Stage(harness, client, service)
        finally:
            harness.close()


def play(on: Stage, messages: Sequence[Message], rate: float) -> Outcome:
    """Publish the messages, show the progress, and wait until everything is processed."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )
    task = bar.add_task("reports", total=len(messages))
    piece = max(1, round(rate * PIECE_SECONDS)) if rate else 500
    sent: list[int] = []
    begun = looked = time.perf_counter()
    with Live(bar, console=console, refresh_per_second=10) as live:
        for first in range(0, len(messages), piece):
            if rate:
                time.sleep(max(0.0, begun + first / rate - time.perf_counter()))
            bodies = [message.body for message in messages[first : first + piece]]
            sent += [int(time.time() * 1000)] * len(bodies)
            on.harness.publish(REPORTED, bodies)
            bar.update(task, completed=len(sent))
            if time.perf_counter() - looked > 0.3:
                live.update(Group(bar, latest(on.blocks())))
                looked = time.perf_counter()
        left = await_end(on)
        seconds = time.perf_counter() - begun
        blocks = on.blocks()
        live.update(Group(bar, latest(blocks)))
    console.print()
    return Outcome(blocks, [found.body for found in on.harness.read(DEAD)], seconds, sent, left)


def await_end(on: Stage) -> str:
    """Return "" when all messages are processed and all decisions published, else what is left."""
    deadline = time.monotonic() + DRAIN_SECONDS
    while True:
        check(on.service)
        # In this order: a message is acked only after its decision is in the outbox.
        waiting = on.harness.waiting(REPORTED)
        decisions = waiting_decisions(on.store)
        if not waiting and not decisions:
            return ""
        if time.monotonic() > deadline:
            return (
                f"after {DRAIN_SECONDS} s not everything was done "
                f"(messages waiting: {waiting}, decisions waiting: {decisions})"
            )
        time.sleep(0.02)


def latest(blocks: Sequence[bytes]) -> Table:
    """Return a table of the last few blocks."""
    table = Table(box=None, title=f"{len(blocks)} images blocked", title_justify="left", show_header=False)
    for block in blocks[-SHOWN:]:
        image, people, reasons = image_of(block)
        table.add_row("[red]blocked[/red]", escape(image), f"{people} people", escape(reasons))
    return table


def latencies(outcome: Outcome, expected: Expected) -> list[int]:
    """Return the milliseconds from publishing each image's deciding report to its decision.

    The deciding report is known for messages that are processed in order; if readers overtake each other by
    a batch, some values are slightly wrong.
    """
    decided = {image_of(block)[0]: json.loads(block)["data"]["decided_at"] for block in outcome.blocks}
    return [
        max(0, round(datetime.fromisoformat(decided[image]).timestamp() * 1000) - outcome.sent[index])
        for image, index in expected.decided_by.items()
        if image in decided
    ]


def summary(outcome: Outcome, expected: Expected, rate: float) -> Table:
    """Return a table of the figures."""
    kinds, letters = expected.kinds, len(outcome.letters)
    images = [image_of(block)[0] for block in outcome.blocks]
    total = kinds.total()
    table = Table(title="Outcome", title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    pace = f", published at {rate:,.0f}/s" if rate else ""
    rows: list[tuple[str, object]] = [
        ("messages published", f"{total:,}"),
        ("  reports", f"{kinds[Kind.REPORT]:,}"),
        ("  the same person again", f"{kinds[Kind.AGAIN]:,}"),
        ("  the same message again", f"{kinds[Kind.REDELIVERY]:,}"),
        ("  retractions", f"{kinds[Kind.RETRACTION]:,}"),
        ("  malformed", f"{kinds[Kind.MALFORMED]:,}"),
        ("images blocked", f"{len(set(images)):,}"),
        ("images expected to be blocked", f"{len(expected.must):,}"),
        ("decisions per image, at most", max((images.count(image) for image in set(images)), default=0)),
        ("blocked by one device's many accounts", sum(image.startswith(GANG) for image in images)),
        ("dead letters", f"{letters:,}"),
        (f"messages per second{pace}", f"{total / outcome.seconds:,.0f}"),
    ]
    if len(found := latencies(outcome, expected)) > 1:
        percentiles = statistics.quantiles(found, n=100, method="inclusive")
        rows.append(("report to decision, p50 / p99", f"{percentiles[49]:.0f} / {percentiles[98]:.0f} ms"))
    for name, value in rows:
        table.add_row(name, str(value))
    return table


def judge(outcome: Outcome, expected: Expected) -> list[str]:
    """Return what is wrong with the outcome, one line each."""
    found = differences(expected, outcome.blocks, outcome.letters)
    return ([outcome.left] if outcome.left else []) + found


def tell(broker: str, reports: int, rate: float, seed: int) -> int:
    """Run the demo; return the exit code."""
    console.print(f'The page says: [italic]"{PROMISE}"[/italic]')
    messages = sample(reports, seed=seed, now=int(time.time() * 1000))
    expected = count(messages)
    with (
        tempfile.TemporaryDirectory(prefix="image-moderation-demo-") as folder,
        stage(broker, Path(folder)) as on,
    ):
        outcome = play(on, messages, rate)
    console.print(summary(outcome, expected, rate))
    if wrong := judge(outcome, expected):
        for line in wrong:
            console.print(f"[red]wrong:[/red] {escape(line)}")
        return 1
    console.print("[green]Every image that had to be blocked was, once, and no other.[/green]")
    return 0


def main(
    broker: Annotated[Name, typer.Option(help="The broker to use.")] = "redis",
    reports: Annotated[
        int, typer.Option(min=100, max=1_000_000, help="Approximate number of messages.")
    ] = 8_000,
    rate: Annotated[
        float, typer.Option(min=0, help="Messages per second; 0 publishes as fast as possible.")
    ] = 2_000,
    seed: Annotated[int, typer.Option(help="Seed of the random messages.")] = 7,
) -> None:
    """Start a private broker and the service, publish a realistic load, and check the outcome."""
    interrupt_on_sigterm()
    try:
        code = tell(broker, reports, rate, seed)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        code = 130
    except (Failed, EmbeddedError, redis.RedisError, OSError, *MISSING) as error:
        print(f"the demo can't go on: {error}", file=sys.stderr)
        code = 1
    raise typer.Exit(code)


if __name__ == "__main__":
    typer.run(main)
