"""Processes of the demo and the benchmark, and their observation from outside."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, cast

import redis

from tests.support.service_process import ServiceProcess

OUTBOXES = [f"moderation:{{p{n:02}}}:outbox" for n in range(64)]


class Failed(Exception):
    """The demo or the benchmark can't go on; the message is one line."""


@contextmanager
def running(process: ServiceProcess) -> Iterator[ServiceProcess]:
    """Start the process, and stop it at the end. Raises Failed if it doesn't start."""
    try:
        process.start()
    except AssertionError as error:
        raise Failed(f"{str(error).partition(chr(10))[0].rstrip(':')}{_last_line(process)}") from None
    try:
        yield process
    finally:
        process.stop()


def check(process: ServiceProcess) -> None:
    """Raise Failed, with the last line of its log, if the process has ended."""
    if not process.running:
        raise Failed(f"{process.command[2]} has ended with {process.returncode}{_last_line(process)}")


def _last_line(process: ServiceProcess) -> str:
    lines = process.log.strip().splitlines()
    return f": {lines[-1]}" if lines else ""


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process, all threads together; NaN on systems without /proc."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return float("nan")
    # The fields after the name in parentheses, which may contain anything.
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def most_memory(pid: int) -> float:
    """Return the most megabytes that a process has had resident; NaN on systems without /proc."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return float("nan")
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


class Progress(NamedTuple):
    """The progress of a consumer group on a stream."""

    at: float
    """`time.perf_counter()`"""
    caught_up: bool
    """Everything has been read; `pending` entries are not acked yet."""
    read: int | None
    """Entries read since the group was created; None if the server doesn't report it (before version 7)."""
    pending: int

    @property
    def done(self) -> int:
        """Entries acked since the group was created."""
        if self.read is None:
            raise Failed("the server doesn't report how much a group has read: Valkey or Redis 7 is needed")
        return self.read - self.pending


def progress(client: redis.Redis, stream: str, group: str) -> Progress | None:
    """Return the progress, None if the stream or the group doesn't exist yet."""
    try:
        groups = cast("list[dict[str, object]]", client.xinfo_groups(stream))
    except redis.ResponseError as error:
        if "no such key" in str(error):
            return None
        raise
    at = time.perf_counter()
    ours = next((one for one in groups if one["name"] == group.encode()), None)
    if ours is None:
        return None
    lag = ours.get("lag")
    if lag is None:
        newest = cast("dict[str, object]", client.xinfo_stream(stream))["last-generated-id"]
        lag = int(ours["last-delivered-id"] != newest)
    read = ours.get("entries-read")
    if ours["last-delivered-id"] == b"0-0":  # before the first read the server doesn't report it
        read = 0
    return Progress(at, lag == 0, cast("int | None", read), cast("int", ours["pending"]))


def waiting_decisions(client: redis.Redis) -> int:
    """Return the number of decisions not yet published."""
    with client.pipeline(transaction=False) as pipeline:
        for key in OUTBOXES:
            pipeline.zcard(key)
        return sum(cast("list[int]", pipeline.execute()))


def bodies(client: redis.Redis, stream: str) -> list[bytes]:
    """Return the bodies of all messages of a stream."""
    entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", client.xrange(stream))
    return [fields[b"__data__"] for _, fields in entries]


def interrupt_on_sigterm() -> None:
    """Handle SIGTERM like Ctrl-C, so that every context manager exits."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with suppress(ValueError):  # not the main thread
        signal.signal(signal.SIGTERM, interrupt)
