"""Bytes an image in Redis, and how long the service takes to start."""

import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
from redis import asyncio as redis_asyncio

from image_moderation import wiring
from image_moderation.domain.report import Report
from image_moderation.settings import Settings
from image_moderation.store.keys import Keys
from tests.benchmarks.naive import WINDOW
from tests.benchmarks.processes import cpu_seconds, running
from tests.support.service_process import ServiceProcess

IMAGES = 100_000
"""So many that what a server needs for itself is lost in the rounding."""
BATCH = 500
COPIES = 5_000
THRESHOLD = "1000"
"""No image is blocked, so that only the reporters are measured."""


@dataclass(frozen=True, slots=True)
class Bytes:
    """Bytes of Redis for one image, keys and overhead included."""

    reporters: int
    service: float
    plain: float
    """A SET of the reporters' ids, with an expiry."""


def bytes_of_service(url: str, reporters: int) -> float:
    """Fill a server that nobody has used before, which a flush doesn't give back whole."""
    with redis.Redis.from_url(url) as client:
        return _grown(client, lambda: asyncio.run(fill(url, IMAGES, reporters))) / IMAGES


def bytes_of_sets(url: str, reporters: int) -> float:
    """As `bytes_of_service`, with a SET of the reporters' ids for each image."""
    with redis.Redis.from_url(url) as client:
        return _grown(client, lambda: _fill_sets(client, reporters)) / IMAGES


def _grown(client: redis.Redis, filling: Callable[[], object]) -> int:
    def used() -> int:
        return int(client.info("memory")["used_memory"])

    before = used()
    filling()
    return used() - before


def _names(images: int) -> list[str]:
    return [f"img-{number:012d}" for number in range(images)]


def _fill_sets(client: redis.Redis, reporters: int) -> None:
    for image in _names(IMAGES):
        with client.pipeline(transaction=False) as pipeline:
            for number in range(reporters):
                pipeline.sadd(f"naive:{image}", f"user-{number:012d}")
            pipeline.expire(f"naive:{image}", WINDOW)
            pipeline.execute()


async def fill(url: str, images: int, reporters: int, tell: Callable[[int], None] = lambda _: None) -> None:
    """Apply one report of each reporter to each image, by the service's own store."""
    settings = Settings.load({"MODERATION_BROKER_URL": url, "MODERATION_BLOCK_THRESHOLD": THRESHOLD})
    client: Any = redis_asyncio.Redis.from_url(url, socket_timeout=60)
    store = wiring.make_store(settings, client)
    await store.open()
    now = int(time.time() * 1000)
    done = 0
    for reporter in range(reporters):
        for first in range(0, images, BATCH):
            await store.apply(
                [
                    Report(
                        f"img-{number:012d}", f"user-{reporter:012d}", now, now, "nudity", None, False, None
                    )
                    for number in range(first, min(first + BATCH, images))
                ]
            )
            done += BATCH
            tell(done)
    await client.aclose()


_COPY = "for _, key in ipairs(KEYS) do redis.call('SET', key, ARGV[1], 'PXAT', ARGV[2]) end"


def fill_alike(url: str, images: int, tell: Callable[[int], None]) -> None:
    """As `fill` with one reporter, several times as fast: all images get the case of the first."""
    asyncio.run(fill(url, 1, 1))
    keys = Keys("moderation")
    with redis.Redis.from_url(url, socket_timeout=60) as client:
        [first, *others] = [keys.case(name.encode()) for name in _names(images)]
        value, until = client.get(first), client.pexpiretime(first)
        for place in range(0, images, COPIES):
            some = others[place : place + COPIES]
            client.eval(_COPY, len(some), *some, value, until)
            tell(place + len(some))


async def server_microseconds(url: str, server: int, images: int, reports: int, reporter: str) -> float:
    """Return the server's CPU time for a report of `reporter` on some of the `images` that are there already.

    `server` is its process id. The reports are spread evenly over the images, and travel by the script alone.
    """
    settings = Settings.load({"MODERATION_BROKER_URL": url, "MODERATION_BLOCK_THRESHOLD": THRESHOLD})
    connection: Any = redis_asyncio.Redis.from_url(url, socket_timeout=60)
    store = wiring.make_store(settings, connection)
    await store.open()
    now = int(time.time() * 1000)
    step = images // reports or 1
    before = cpu_seconds(server)
    for first in range(0, reports, BATCH):
        await store.apply(
            [
                Report(f"img-{number * step % images:012d}", reporter, now, now, "nudity", None, False, None)
                for number in range(first, first + BATCH)
            ]
        )
    used = cpu_seconds(server) - before
    await connection.aclose()
    return used / reports * 1e6


@dataclass(frozen=True, slots=True)
class Start:
    """Seconds, one for each try."""

    ready: list[float]
    """From exec to `/readyz` that answers 200, as the service's own log says."""
    version: list[float]
    """`image-moderation --version`"""
    python: list[float]
    """`python -c pass`, the least that a Python program can take."""

    def medians(self) -> dict[str, float]:
        """Return the median of each."""
        return {name: statistics.median(getattr(self, name)) for name in ("ready", "version", "python")}


def measure_start(place: Path, url: str, tries: int) -> Start:
    """Start the service, and the two short programs, in turns."""
    found = Start([], [], [])
    for _ in range(tries):
        process = ServiceProcess(place, {"MODERATION_BROKER_URL": url}, wait="", name="start")
        begun = time.perf_counter()
        with running(process):
            process.wait_for_event("ready")
            found.ready.append(time.perf_counter() - begun)
        found.version.append(_seconds("-m", "image_moderation", "--version"))
        found.python.append(_seconds("-c", "pass"))
    return found


def _seconds(*arguments: str) -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begun
