"""A primary, its replicas, and Sentinels that promote one of them when it is gone."""

from contextlib import ExitStack
from pathlib import Path
from typing import Self

from image_moderation.embedded import Engine
from tests.support.redis_processes import RedisNode, replicate
from tests.support.waiting import wait_until

MASTER = "moderation"
DOWN_AFTER = 1_000
"""Milliseconds without an answer after which a Sentinel holds a server to be down."""


class SentinelGroup:
    """A context manager that starts and stops them."""

    def __init__(
        self, base_dir: Path, engine: Engine, *lines: str, replicas: int = 2, sentinels: int = 3
    ) -> None:
        """`lines` are of each server's configuration."""
        self._base_dir, self._engine = base_dir, engine
        self.servers = [RedisNode(engine, base_dir, *lines) for _ in range(1 + replicas)]
        """The first is the primary at the start."""
        self._count = sentinels
        self.sentinels: list[RedisNode] = []
        self._stack = ExitStack()

    @property
    def url(self) -> str:
        return "redis+sentinel://" + ",".join(one.address for one in self.sentinels) + f"/{MASTER}"

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            primary, *replicas = [stack.enter_context(server) for server in self.servers]
            for replica in replicas:
                replicate(replica, primary)
            lines = (
                f"sentinel monitor {MASTER} 127.0.0.1 {primary.port} {self._count // 2 + 1}",
                f"sentinel down-after-milliseconds {MASTER} {DOWN_AFTER}",
                f"sentinel failover-timeout {MASTER} 3000",
            )
            for _ in range(self._count):
                sentinel = RedisNode(self._engine, self._base_dir, *lines, sentinel=True)
                self.sentinels.append(stack.enter_context(sentinel))
            wait_until(lambda: all(map(self._knows_all, self.sentinels)), "the Sentinels know everyone", 30)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def primary(self) -> RedisNode:
        """Return the primary as most Sentinels see it."""
        ports = [
            int(sentinel.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)[1]) for sentinel in self.sentinels
        ]
        port = max(ports, key=ports.count)
        return next(server for server in self.servers if server.port == port)

    def wait_for_another(self, old: RedisNode) -> RedisNode:
        """Wait until another server than `old` is the primary for every Sentinel, and takes writes."""

        def another() -> RedisNode | None:
            new = self.primary()
            return new if new is not old and new.info("replication")["role"] == "master" else None

        found = wait_until(another, "a replica is promoted", 40)
        assert found is not None
        return found

    def _knows_all(self, sentinel: RedisNode) -> bool:
        found = sentinel.info("sentinel")["master0"]
        return bool(found["slaves"] == len(self.servers) - 1 and found["sentinels"] == self._count)
