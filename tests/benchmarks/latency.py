"""From report to block, open loop: reports are sent on a schedule, however slow the answers are.

A block's latency is counted from the moment at which its deciding report was *due*, so that a contestant that
falls behind can't hide it. Every fifth report decides; the five reports of an image lie 36 reports apart.
"""

import json
import multiprocessing
import re
import socket
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import redis

from tests.benchmarks.contestants import Contestant
from tests.benchmarks.load import REPORTED, STREAM
from tests.benchmarks.pinning import CLIENT, pinned
from tests.benchmarks.processes import Failed, check, progress, running
from tests.support.service_process import ServiceProcess

WARM_UP = 2.0
"""Seconds whose blocks don't count."""
LONGEST_DELAY = 60.0
"""Seconds after the last report by which every block must be there: a machine may be slow."""
THRESHOLD = 5
APART = 7
_IMAGE = re.compile(rb'"image_id": ?"img-(\d+)"')


@dataclass(frozen=True, slots=True)
class Latency:
    """One run, in milliseconds."""

    rate: int
    p50: float
    p99: float
    most: float
    blocks: int
    every: Sequence[float]
    """A thousand quantiles, for the plot."""


def measure_latency(
    place: Path, url: str, socket_path: Path, contestant: Contestant, *, rate: int, seconds: float
) -> Latency:
    """Send `rate` reports a second for the warm-up and `seconds`.

    Raises:
        Failed: a block is missing so long after the last report.
    """
    with redis.Redis.from_url(url) as client:
        client.flushdb()
        process = contestant.start(place, url)
        with pinned(CLIENT):
            stack = running(process)
            started = stack.__enter__()
        try:
            _await_group(client, contestant.group, started)
            found = _run(client, socket_path, rate, seconds)
        finally:
            stack.__exit__(None, None, None)
    due = {image: at for image, at in _due(rate, seconds) if at >= WARM_UP}
    missing = due.keys() - found.keys()
    if missing:
        raise Failed(f"{contestant.name} did not block {len(missing)} of {len(due)} images at {rate}/s")
    latencies = sorted((found[image] - at) * 1000 for image, at in due.items())
    cuts = statistics.quantiles(latencies, n=1000)
    return Latency(rate, statistics.median(latencies), cuts[989], latencies[-1], len(latencies), cuts)


def _await_group(client: redis.Redis, group: str, process: ServiceProcess) -> None:
    deadline = time.monotonic() + 20
    while progress(client, STREAM, group) is None:
        check(process)
        if time.monotonic() > deadline:
            raise Failed("the contestant did not create its group within 20 s")
        time.sleep(0.01)
    time.sleep(0.5)  # its readers start after their group is there


def _run(client: redis.Redis, socket_path: Path, rate: int, seconds: float) -> dict[int, float]:
    """Return when each block was seen, in seconds after the first report was due."""
    begin = time.monotonic() + 0.5
    producer = multiprocessing.get_context("fork").Process(
        target=_produce, args=(str(socket_path), rate, seconds, begin)
    )
    producer.start()
    wanted = sum(1 for _ in _due(rate, seconds))
    found: dict[int, float] = {}
    after = b"0"
    deadline = begin + WARM_UP + seconds + LONGEST_DELAY
    try:
        while len(found) < wanted and time.monotonic() < deadline:
            reply: Any = client.xread({"image.blocked": after}, block=1000)
            now = time.monotonic() - begin
            for _, entries in reply or ():
                after = entries[-1][0]
                for _, fields in entries:
                    match = _IMAGE.search(b" ".join(fields.values()))
                    assert match is not None, fields
                    found.setdefault(int(match[1]), now)
    finally:
        producer.join(5)
        producer.kill()
    return found


def _reports(rate: int, seconds: float) -> Iterator[tuple[int, int]]:
    """Give the image and the place among its reports, from 0, of each report in order."""
    for number in range(round(rate * (WARM_UP + seconds))):
        place = number % THRESHOLD
        image = number // THRESHOLD - APART * place
        if image >= 0:
            yield number, image


def _due(rate: int, seconds: float) -> Iterator[tuple[int, float]]:
    for number, image in _reports(rate, seconds):
        if number % THRESHOLD == THRESHOLD - 1:
            yield image, number / rate


def _produce(socket_path: str, rate: int, seconds: float, begin: float) -> None:
    """Send the reports on a socket of its own; the answers are thrown away."""
    time_now = datetime.now(UTC).isoformat(timespec="milliseconds")
    commands = [
        (number / rate, _command(number, image, time_now)) for number, image in _reports(rate, seconds)
    ]
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(socket_path)
        at = 0
        while at < len(commands):
            passed = time.monotonic() - begin
            first = at
            while at < len(commands) and commands[at][0] <= passed:
                at += 1
            if at > first:
                connection.sendall(b"".join(command for _, command in commands[first:at]))
                _discard(connection)
            elif commands[at][0] > passed:
                time.sleep(min(commands[at][0] - passed, 0.01))
        # A server that is slow drops what it has not read yet of a client that closes with answers unread.
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65_536):
            pass


def _discard(connection: socket.socket) -> None:
    connection.setblocking(False)
    try:
        while connection.recv(65_536):
            pass
    except BlockingIOError:
        pass
    finally:
        connection.setblocking(True)


def _command(number: int, image: int, time_now: str) -> bytes:
    event = {
        "specversion": "1.0",
        "id": f"{number:032x}",
        "source": "/gallery",
        "type": REPORTED,
        "time": time_now,
        "datacontenttype": "application/json",
        "data": {
            "image_id": f"img-{image:012d}",
            "reporter_id": f"user-{number % THRESHOLD:012d}",
            "reason": "nudity",
        },
    }
    body = json.dumps(event).encode()
    parts = (b"XADD", STREAM.encode(), b"*", b"__data__", body)
    return b"*5\r\n" + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
