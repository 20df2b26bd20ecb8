"""The story in half a minute: a private server, the real service, a day's trouble, and a look at the outcome.

`python -m tests.benchmarks.demo` exits 0 where exactly the images that should be blocked were blocked, once
each, and every malformed message became a dead letter; 1 where not, or where something could not be started.
"""

import statistics
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self, cast

import redis
import typer
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from service.embedded import EmbeddedError, EmbeddedRedis
from tests.benchmarks.compare import differences, image_of
from tests.benchmarks.load import GANG, STREAM, publish, sample
from tests.benchmarks.model import Expected, Kind, Message, count
from tests.benchmarks.processes import (
    Failed,
    bodies,
    check,
    interrupt_on_sigterm,
    progress,
    running,
    waiting_decisions,
)
from tests.service_process import ServiceProcess

PROMISE = (
    "Thanks for reporting! This image will be blocked automatically once several people have reported it."
)
DRAIN_SECONDS = 30
SHOWN = 8

console = Console()


class Entry(NamedTuple):
    """A message in a stream."""

    position: bytes
    body: bytes


class Consumer:
    """Some other program of the site's: it reads `image.blocked` as any consumer would."""

    def __init__(self, url: str) -> None:
        self.blocks: list[Entry] = []
        self._client = redis.Redis.from_url(url)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join()
        self._client.close()

    def _read(self) -> None:
        last = b"0"
        with suppress(redis.ConnectionError):  # the server is stopped before this is, after a failure
            while not self._stop.is_set():
                reply = cast("list[Any]", self._client.xread({"image.blocked": last}, block=100) or [])
                for _, entries in reply:
                    self.blocks += [Entry(position, fields[b"__data__"]) for position, fields in entries]
                    last = entries[-1][0]


@dataclass(slots=True)
class Outcome:
    """What one run of the story brought about."""

    blocks: list[Entry]
    letters: list[bytes]
    seconds: float
    """From the first message published until nothing was left to do."""
    sent: list[bytes]
    """The position of each message."""
    left: str = ""
    """What was still to do when patience ended."""


def play(url: str, service: ServiceProcess, messages: list[Message], rate: float) -> Outcome:
    """Publish, watch, and wait until all is done."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )
    task = bar.add_task("reports", total=len(messages))
    with redis.Redis.from_url(url) as client, Consumer(url) as consumer:
        sent: list[bytes] = []
        begun = time.perf_counter()
        with Live(bar, console=console, refresh_per_second=10) as live:
            for step in publish(client, messages, rate=rate):
                sent += step.positions
                bar.update(task, completed=step.total)
                live.update(Group(bar, latest(consumer.blocks)))
            left = await_end(client, service)
            seconds = time.perf_counter() - begun
            published = cast("int", client.xlen("image.blocked"))
            deadline = time.monotonic() + 5
            while len(consumer.blocks) < published and time.monotonic() < deadline:
                time.sleep(0.01)
            live.update(Group(bar, latest(consumer.blocks)))
        console.print()
        return Outcome(consumer.blocks, bodies(client, "image.dead-letter"), seconds, sent, left)


def await_end(client: redis.Redis, service: ServiceProcess) -> str:
    """Return "" once every message is dealt with and every decision published, else what is left."""
    deadline = time.monotonic() + DRAIN_SECONDS
    while True:
        check(service)
        # In this order: a message leaves the pending ones only once its decision waits in the outbox.
        now = progress(client, STREAM, "image-moderation")
        waiting = waiting_decisions(client)
        if now is not None and now.caught_up and not now.pending and not waiting:
            return ""
        if time.monotonic() > deadline:
            unread = (
                "the group is gone" if now is None else f"unread: {not now.caught_up}, pending: {now.pending}"
            )
            return f"after {DRAIN_SECONDS} s not everything was done ({unread}, decisions waiting: {waiting})"
        time.sleep(0.01)


def latest(blocks: list[Entry]) -> Table:
    """The last few blocks."""
    table = Table(box=None, title=f"{len(blocks)} images blocked", title_justify="left", show_header=False)
    for block in blocks[-SHOWN:]:
        image, people, reasons = image_of(block.body)
        table.add_row("[red]blocked[/red]", escape(image), f"{people} people", escape(reasons))
    return table


def latencies(outcome: Outcome, expected: Expected) -> list[int]:
    """Milliseconds, by the server's stamps, from the report that reaches an image's threshold to its block.

    Which report that is holds for messages worked on in order; readers that overtake each other by a
    batch can make one of these a little wrong.
    """
    blocked = {image_of(block.body)[0]: block.position for block in outcome.blocks}
    return [
        _time(blocked[image]) - _time(outcome.sent[index])
        for image, index in expected.decided_by.items()
        if image in blocked
    ]


def _time(position: bytes) -> int:
    return int(position.partition(b"-")[0])


def summary(outcome: Outcome, expected: Expected, rate: float) -> Table:
    """The figures."""
    kinds, letters = expected.kinds, len(outcome.letters)
    images = [image_of(block.body)[0] for block in outcome.blocks]
    total = kinds.total()
    table = Table(title="What became of it", title_justify="left", show_header=False)
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
        ("images that had to be", f"{len(expected.must):,}"),
        ("decisions an image", max((images.count(image) for image in set(images)), default=0)),
        ("blocked by one device's many accounts", sum(image.startswith(GANG) for image in images)),
        ("dead letters", f"{letters:,}"),
        (f"messages a second{pace}", f"{total / outcome.seconds:,.0f}"),
    ]
    if len(found := latencies(outcome, expected)) > 1:
        percentiles = statistics.quantiles(found, n=100, method="inclusive")
        rows.append(("report to block, p50 / p99", f"{percentiles[49]:.0f} / {percentiles[98]:.0f} ms"))
    for name, value in rows:
        table.add_row(name, str(value))
    return table


def judge(outcome: Outcome, expected: Expected) -> list[str]:
    """What is wrong with the outcome, a line each."""
    found = differences(expected, [block.body for block in outcome.blocks], outcome.letters)
    return ([outcome.left] if outcome.left else []) + found


def tell(reports: int, rate: float, seed: int) -> int:
    """Tell the story; return the exit code."""
    console.print(f'The page says: [italic]"{PROMISE}"[/italic]')
    messages = sample(reports, seed=seed, now=int(time.time() * 1000))
    expected = count(messages)
    with tempfile.TemporaryDirectory(prefix="image-moderation-demo-") as folder:
        place = Path(folder)
        with (
            EmbeddedRedis(place / "data") as server,
            running(ServiceProcess(place, {"MODERATION_BROKER_URL": server.url})) as service,
        ):
            outcome = play(server.url, service, messages, rate)
    console.print(summary(outcome, expected, rate))
    if wrong := judge(outcome, expected):
        for line in wrong:
            console.print(f"[red]wrong:[/red] {escape(line)}")
        return 1
    console.print("[green]Every image that had to be blocked was, once, and no other.[/green]")
    return 0


def main(
    reports: Annotated[int, typer.Option(min=100, max=1_000_000, help="About how many messages.")] = 8_000,
    rate: Annotated[
        float, typer.Option(min=0, help="Messages a second; 0 publishes as fast as it goes.")
    ] = 2_000,
    seed: Annotated[int, typer.Option(help="Another seed, another story.")] = 7,
) -> None:
    """Start a private server and the service, publish what a site would, and check what was blocked."""
    interrupt_on_sigterm()
    try:
        code = tell(reports, rate, seed)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        code = 130
    except (Failed, EmbeddedError, redis.RedisError, OSError) as error:
        print(f"the demo can't go on: {error}", file=sys.stderr)
        code = 1
    raise typer.Exit(code)


if __name__ == "__main__":
    typer.run(main)
