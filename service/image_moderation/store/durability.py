"""How safe a write must be before a report is acked or a decision published: which replicas, whose disk.

Redis answers a write before its replicas and, unless `appendfsync always`, before its disk have it. WAIT and
WAITAOF answer once they do. Both are about the writes of their own connection alone, and since Redis 7.2 a
command that changes nothing is none: an event that another connection has applied would be confirmed before
it is safe. So a write goes before each of them, in the same pipeline.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio.cluster import RedisCluster
from redis.exceptions import MovedError, NoScriptError, ResponseError

from image_moderation.domain.errors import Misconfigured, StoreUnavailable
from image_moderation.redis_connection import Client
from image_moderation.store.lua import Command, run

CONFIRMATION_TIMEOUT = 2_000
"""Milliseconds that a confirmation may take: well under the socket's timeout, and more than the second that
`appendfsync everysec` takes.
"""
MARK_LIFE = 60_000
"""Milliseconds that the write before a confirmation lives."""

_NO_WAITAOF = "MODERATION_STORE_FSYNC: got on, but the store{where} {why}; takes {takes}, or off"


@dataclass(frozen=True, slots=True)
class Durability:
    """What must have a write. With neither, the answer of the server is enough, and nothing is sent."""

    replicas: int = 0
    """So many replicas, of each node of a Cluster."""
    fsync: bool = False
    """The disk of the server, and those of that many replicas."""

    def __bool__(self) -> bool:
        return self.fsync or self.replicas > 0

    @property
    def command(self) -> Command:
        """The command that waits for it."""
        wait = ("WAITAOF", 1) if self.fsync else ("WAIT",)
        return (*wait, self.replicas, CONFIRMATION_TIMEOUT)

    def shortfall(self, reply: Any) -> str:
        """Return what is missing by the reply to `command`, in words; "" if nothing is."""
        local, replicas = reply if self.fsync else (1, reply)
        if not local:
            return (
                f"what was written is not on its disk after {CONFIRMATION_TIMEOUT / 1000:g} s; "
                "MODERATION_STORE_FSYNC=on asks for that"
            )
        if replicas < self.replicas:
            where = " on their disks, for which they need appendonly yes" if self.fsync else ""
            return (
                f"too few replicas: {replicas} of {self.replicas} have what was written{where}; "
                f"MODERATION_STORE_MIN_REPLICAS={self.replicas} asks for them"
            )
        return ""


NOTHING_MORE = Durability()


class Confirmation:
    """Runs commands on a store, and returns once what they wrote is as safe as `durability` says."""

    def __init__(self, redis: Client, durability: Durability, mark_beside: Callable[[bytes], bytes]) -> None:
        """`mark_beside` names the key of the write before a confirmation, in the slot of another key."""
        self._redis = redis
        self._durability = durability
        self._mark_beside = mark_beside

    async def run(self, commands: Sequence[Command]) -> list[Any]:
        """As `lua.run`, in the same one round trip.

        Raises:
            StoreUnavailable: all was applied, and is not safe.
            redis.exceptions.RedisError: as the client raises it; any of the calls may have been applied.
        """
        return await run(self._redis, commands, self._send if self._durability else None)

    async def confirm(self, keys: Iterable[bytes]) -> None:
        """Return once all that was ever written to the servers of these keys is as safe.

        Raises:
            StoreUnavailable: it is not.
            redis.exceptions.RedisError: call again.
        """
        if self._durability:
            await self._send(self._redis, [], keys)

    async def check_support(self) -> None:
        """Check that each server can tell what its disk has.

        Raises:
            Misconfigured: one can't, so nothing would ever be confirmed.
            redis.exceptions.RedisError: call again.
        """
        if not self._durability.fsync:
            return
        execute: Any = self._redis.execute_command  # untyped in redis-py
        nodes: list[Any] = [None]
        if isinstance(self._redis, RedisCluster):
            await self._redis.initialize()
            nodes = self._redis.get_primaries()
        for node in nodes:
            where = "" if node is None else f" at {node.name}"
            try:
                await execute("WAITAOF", 1, 0, 1, **({} if node is None else {"target_nodes": node}))
            except ResponseError as error:
                if "unknown command" in str(error):
                    why, takes = "has no WAITAOF", "Redis 7.2 or newer, or Valkey"
                elif "appendonly" in str(error):
                    why, takes = "has appendonly no", "appendonly yes there"
                else:
                    raise
                raise Misconfigured(_NO_WAITAOF.format(where=where, why=why, takes=takes)) from None

    async def _send(
        self, redis: Client, commands: Sequence[Command], beside: Iterable[bytes] = ()
    ) -> list[Any]:
        """Return the replies of the commands, with an error in the place of a reply."""
        cluster: Any = redis if isinstance(redis, RedisCluster) else None  # its keys are not only texts
        if cluster is not None:
            await cluster.initialize()
        pipeline: Any = redis.pipeline(transaction=False)
        keys = [_first_key(command) for command in commands]
        marks: dict[Any, bytes] = {}
        """Of each server, None where there is one, the key of the write before its confirmation."""
        targets: list[dict[str, Any]] = []
        for key in (*keys, *beside):
            # A command must not follow its slot to where nothing is confirmed.
            node = None if cluster is None else cluster.get_node_from_key(key)
            targets.append({} if node is None else {"target_nodes": node})
            marks.setdefault(node, self._mark_beside(key))
        for command, target in zip(commands, targets, strict=False):
            pipeline.execute_command(*command, **target)
        for node, mark in marks.items():
            target = {} if node is None else {"target_nodes": node}
            pipeline.execute_command("SET", mark, b"", "PX", MARK_LIFE, **target)
            pipeline.execute_command(*self._durability.command, **target)
        options = {} if cluster is None else {"allow_redirections": False}
        answers: list[Any] = await pipeline.execute(raise_on_error=False, **options)
        replies, confirmations = answers[: len(commands)], answers[len(commands) :]
        if cluster is not None:
            sent = [*zip(keys, replies, strict=True), *zip(marks.values(), confirmations[::2], strict=True)]
            for key in [key for key, reply in sent if isinstance(reply, MovedError)]:
                await cluster.execute_command("EXISTS", key)  # learns where the slot is now
        if all(not isinstance(reply, Exception) or isinstance(reply, NoScriptError) for reply in replies):
            self._check(list(marks), confirmations)
        return replies

    def _check(self, nodes: Sequence[Any], confirmations: Sequence[Any]) -> None:
        """Raise what a confirmation lacks. Each node has the reply to its write, and that to its wait."""
        for node, marked, reply in zip(nodes, confirmations[::2], confirmations[1::2], strict=True):
            for answer in (marked, reply):
                if isinstance(answer, Exception):
                    raise answer
            if short := self._durability.shortfall(reply):
                raise StoreUnavailable(short if node is None else f"{node.name}: {short}")


def _first_key(command: Command) -> bytes:
    key: bytes = command[3] if command[0] == "EVALSHA" else command[1]
    return key
