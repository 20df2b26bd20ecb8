"""The ceiling: how fast the server alone answers the commands that the service sends for the same stream.

The commands are those of the service's own store and reader: for each batch XREADGROUP, EVALSHA of the script
and XACK. `redis-cli --pipe` sends them without waiting for any answer. Publishing is not among them.
"""

import asyncio
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import redis
from redis.asyncio import Redis

from image_moderation import wiring
from image_moderation.domain.message import RawMessage
from image_moderation.domain.report import Event
from image_moderation.events.parse import parse
from image_moderation.settings import Settings
from image_moderation.store import lua
from tests.benchmarks.contestants import GROUP
from tests.benchmarks.load import STREAM
from tests.benchmarks.measure import MASTER, MASTER_DB, Run, fresh_copy
from tests.benchmarks.pinning import CLIENT, pinned
from tests.benchmarks.processes import Failed, cpu_seconds, waiting_decisions

BATCH = 500
PAGE = 10_000


def record(url: str, path: Path) -> int:
    """Write the commands for the master stream to `path`; return how many replies they have.

    The store applies the stream once, to a database that is emptied before and after.
    """
    with redis.Redis.from_url(url) as client, redis.Redis.from_url(url, db=MASTER_DB) as master:
        client.flushdb()
        replies = asyncio.run(_record(url, list(_entries(master)), path))
        client.flushdb()
    return replies


async def _record(url: str, entries: Sequence[tuple[bytes, bytes]], path: Path) -> int:
    settings = Settings.load({"MODERATION_BROKER_URL": url})
    recording = cast("_Recording", _Recording.from_url(url))
    recording.sent = []
    store = wiring.make_store(settings, recording)
    await store.open()
    replies = 0
    with path.open("wb") as file:
        for first in range(0, len(entries), BATCH):
            chunk = entries[first : first + BATCH]
            recording.sent = []
            await store.apply([_event(position, body) for position, body in chunk])
            read = (
                b"XREADGROUP",
                b"GROUP",
                GROUP,
                b"host-0",
                b"COUNT",
                BATCH,
                b"BLOCK",
                1000,
                b"STREAMS",
                STREAM,
                b">",
            )
            ack = (b"XACK", STREAM, GROUP, *(position for position, _ in chunk))
            for command in (read, *recording.sent, ack):
                file.write(_packed(command))
                replies += 1
    await recording.aclose()
    return replies


class _Recording(Redis):
    """A client that notes the calls of scripts which the server has not refused."""

    sent: list[tuple[Any, ...]]

    async def execute_command(self, *command: Any, **options: Any) -> Any:
        reply = await super().execute_command(*command, **options)  # type: ignore[no-untyped-call]  # theirs
        if command[0] == "EVALSHA":
            self.sent.append(command)
        return reply


def _event(position: bytes, body: bytes) -> Event:
    arrived = int(position.partition(b"-")[0])
    return parse(RawMessage(STREAM, position.decode(), body, arrived), arrived, 65_536)


def _entries(master: redis.Redis) -> Iterator[tuple[bytes, bytes]]:
    after = b"-"
    while page := cast("list[tuple[bytes, dict[bytes, bytes]]]", master.xrange(MASTER, after, "+", PAGE)):
        for position, fields in page:
            yield position, fields[b"__data__"]
        after = b"(" + page[-1][0]


def _packed(command: Sequence[Any]) -> bytes:
    parts = [part if isinstance(part, bytes) else str(part).encode() for part in command]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


def measure_ceiling(
    url: str, socket: Path, server: int, path: Path, replies: int, *, reports: int, blocked: int
) -> Run:
    """Send the recorded commands; `server` is the server's process id.

    Raises:
        Failed: the server refused some, or decided otherwise than it should.
    """
    with redis.Redis.from_url(url) as client:
        fresh_copy(client, url)
        client.xgroup_create(STREAM, GROUP, id="0")
        for script in lua.ALL:
            client.script_load(script.text)
        cpu, at = cpu_seconds(server), time.perf_counter()
        with path.open("rb") as file, pinned(CLIENT):
            done = subprocess.run(
                [redis_cli(), "-s", socket, "--pipe"],
                stdin=file,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
        seconds, used = time.perf_counter() - at, cpu_seconds(server) - cpu
        if f"errors: 0, replies: {replies}" not in done.stdout:
            raise Failed(f"redis-cli --pipe: {done.stdout.strip()} {done.stderr.strip()}")
        if (decided := waiting_decisions(client)) != blocked:
            raise Failed(f"the ceiling's commands decided {decided} blocks, not {blocked}")
    return Run(reports / seconds, float("nan"), used / reports * 1e6)


def redis_cli() -> str:
    """Return the path of redis-cli.

    Raises:
        Failed: it is not installed.
    """
    found = shutil.which("redis-cli") or shutil.which("valkey-cli")
    if not found:
        raise Failed("redis-cli is not on PATH")
    return found
