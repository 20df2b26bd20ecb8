"""How many reports a second each contestant consumes: all from one stream on one server, in turns."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import redis

from image_moderation.embedded import EmbeddedRedis
from tests.benchmarks.ceiling import measure_ceiling, record
from tests.benchmarks.compare import differences
from tests.benchmarks.contestants import Contestant
from tests.benchmarks.load import plain_reports, publish
from tests.benchmarks.measure import MASTER, MASTER_DB, Run, measure, median
from tests.benchmarks.model import Expected, count
from tests.benchmarks.pinning import SERVER, pinned
from tests.benchmarks.processes import Failed, bodies

Tell = Callable[[str, int, int], None]
"""Takes a name, how many are done, and of how many."""

SKEWS = {"uniform": 0.0, "zipf": 1.0}
CEILING = "ceiling"


@dataclass(frozen=True, slots=True)
class Result:
    """The runs of one stream."""

    stream: str
    server: str
    reports: int
    images_blocked: int
    runs: dict[str, list[Run]] = field(default_factory=dict)

    def medians(self) -> dict[str, Run]:
        """Return the median run of each contestant."""
        return {name: median(runs) for name, runs in self.runs.items()}

    def written(self) -> dict[str, Any]:
        """Return all of it for the result file."""
        return asdict(self) | {"medians": {name: asdict(run) for name, run in self.medians().items()}}


def compete(
    folder: Path,
    stream: str,
    contestants: Sequence[Contestant],
    *,
    reports: int,
    rounds: int,
    tell: Tell,
    ceiling: bool = True,
    appendfsync: str = "everysec",
) -> Result:
    """Load one kind of stream and let each contestant consume it once in every round.

    Raises:
        Failed: a contestant can't go on, or its blocks are not the right ones.
    """
    with pinned(SERVER):
        server = EmbeddedRedis(folder / f"data-{stream}-{appendfsync}", appendfsync=appendfsync)
        server.start()
    try:
        pid = server.pid or 0
        expected = load(
            server.url, reports, SKEWS[stream], lambda done: tell(f"{stream}: load", done, reports)
        )
        engine = f"{server.engine.name} {server.engine.version}"
        result = Result(stream, engine, reports, len(expected.must))
        commands = folder / f"{stream}.commands"
        replies = record(server.url, commands) if ceiling else 0
        for number in range(rounds):
            for contestant in contestants:
                own = int(reports * contestant.share)
                following = partial(_follow, tell, f"{stream}: {contestant.name} {number + 1}/{rounds}", own)
                run = measure(folder, server.url, pid, contestant, own, tell=following)
                if contestant.publishes:
                    check_outcome(server.url, expected, contestant.name)
                result.runs.setdefault(contestant.name, []).append(run)
            if ceiling:
                run = measure_ceiling(
                    server.url,
                    server.socket_path,
                    pid,
                    commands,
                    replies,
                    reports=reports,
                    blocked=len(expected.must),
                )
                result.runs.setdefault(CEILING, []).append(run)
                tell(f"{stream}: {CEILING} {number + 1}/{rounds}", reports, reports)
    finally:
        server.stop()
    return result


def _follow(tell: Tell, name: str, total: int, done: int) -> None:
    tell(name, done, total)


def load(url: str, reports: int, skew: float, tell: Callable[[int], None]) -> Expected:
    """Fill the master stream; return the expected outcome."""
    messages = list(plain_reports(reports, seed=1, now=int(time.time() * 1000), skew=skew))
    with redis.Redis.from_url(url, db=MASTER_DB) as client:
        # A rewrite of the append-only file would slow down one run and not the next.
        client.config_set("auto-aof-rewrite-percentage", 0)
        for sent in publish(client, messages, stream=MASTER):
            tell(sent.total)
    return count(messages)


def check_outcome(url: str, expected: Expected, name: str) -> None:
    """Raise Failed if the outcome is wrong: a fast wrong answer is no result."""
    with redis.Redis.from_url(url) as client:
        wrong = differences(expected, bodies(client, "image.blocked"), bodies(client, "image.dead-letter"))
    if wrong:
        raise Failed(f"the outcome of {name} is wrong: {'; '.join(wrong)}")
