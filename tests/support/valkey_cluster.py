"""A Valkey or Redis Cluster for tests: primaries that share the slots, each with some replicas."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import redis

from image_moderation.embedded import Engine
from tests.support.redis_processes import RedisNode
from tests.support.servers import free_port
from tests.support.waiting import wait_until

_SLOTS = 16_384


class ValkeyCluster:
    """A context manager that starts and stops the nodes."""

    def __init__(
        self, base_dir: Path, engine: Engine, *lines: str, nodes: int = 3, replicas: int = 0
    ) -> None:
        """`nodes` primaries with `replicas` each. `lines` are of each node's configuration."""
        options = (
            "appendonly no",
            "cluster-enabled yes",
            "cluster-node-timeout 2000",
            "repl-diskless-sync-delay 0",
        )
        self._bus_ports = [free_port() for _ in range(nodes * (1 + replicas))]
        self.nodes = [
            RedisNode(engine, base_dir, *options, f"cluster-port {port}", *lines) for port in self._bus_ports
        ]
        self.primaries = self.nodes[:nodes]
        """As they were at the start."""
        self.replicas = {
            primary: self.nodes[nodes + number :: nodes] for number, primary in enumerate(self.primaries)
        }
        """Of each primary, as they were at the start."""
        self._stack = ExitStack()

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(node.address for node in self.primaries)

    @property
    def node_urls(self) -> list[str]:
        return [node.url for node in self.primaries]

    def __enter__(self) -> Self:
        try:
            for node in self.nodes:
                self._stack.callback(node.stop)
                node.begin()
            self._join()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def client(self) -> Any:
        """Return a client of the whole, the caller's to close."""
        node: Any = redis.cluster.ClusterNode  # untyped in redis-py
        nodes = [node("127.0.0.1", one.port) for one in self.nodes]
        return redis.RedisCluster(startup_nodes=nodes, socket_timeout=2)

    def wait_whole(self, among: Callable[[RedisNode], bool] = lambda _: True) -> None:
        """Wait until these nodes agree that every slot is served."""
        nodes = [node for node in self.nodes if among(node)]
        wait_until(lambda: all(map(_is_ok, nodes)), "the cluster is whole", 30)

    def primary_of(self, slot: int, among: Callable[[RedisNode], bool] = lambda _: True) -> RedisNode:
        """Return the node that serves a slot now, as the first of these nodes sees it."""
        asked = next(node for node in self.nodes if among(node))
        for first, last, (_, port, *_), *_ in asked.ask("CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return next(node for node in self.nodes if node.port == port)
        raise AssertionError(f"nobody serves slot {slot}")

    def move(self, slot: int, target: RedisNode, *, count: int = 100) -> None:
        """Move a slot to another primary while it is in use, as `--cluster reshard` does."""
        source = self.primary_of(slot)
        if source is target:
            return
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", _id(source))
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", _id(target))
        while keys := source.ask("CLUSTER", "GETKEYSINSLOT", slot, count):
            source.ask("MIGRATE", "127.0.0.1", target.port, "", 0, 2_000, "REPLACE", "KEYS", *keys)
        for node in (target, source, *self.primaries):
            node.ask("CLUSTER", "SETSLOT", slot, "NODE", _id(target))

    def _join(self) -> None:
        wait_until(lambda: all(map(_answers, self.nodes)), "the nodes of the cluster answer", 30)
        for number, node in enumerate(self.primaries):
            first, beyond = (_SLOTS * n // len(self.primaries) for n in (number, number + 1))
            node.ask("CLUSTER", "ADDSLOTSRANGE", first, beyond - 1)
        for node, bus_port in zip(self.nodes[1:], self._bus_ports[1:], strict=True):
            self.nodes[0].ask("CLUSTER", "MEET", "127.0.0.1", node.port, bus_port)
        wait_until(lambda: all(map(self._is_known, self.nodes)), "the nodes form a cluster", 30)
        for primary, replicas in self.replicas.items():
            for replica in replicas:
                replica.ask("CLUSTER", "REPLICATE", _id(primary))
        followers = [replica for replicas in self.replicas.values() for replica in replicas]
        wait_until(lambda: all(map(_is_in_step, followers)), "the replicas are in step", 30)

    def _is_known(self, node: RedisNode) -> bool:
        lines = node.ask("CLUSTER", "INFO").splitlines()
        return b"cluster_state:ok" in lines and b"cluster_known_nodes:%d" % len(self.nodes) in lines


def _answers(node: RedisNode) -> bool:
    try:
        return bool(node.ask("PING"))
    except redis.ConnectionError:
        return False


def _is_ok(node: RedisNode) -> bool:
    try:
        return b"cluster_state:ok" in node.ask("CLUSTER", "INFO").splitlines()
    except redis.ConnectionError:
        return False


def _is_in_step(node: RedisNode) -> bool:
    found = node.info("replication")
    return bool(found["role"] == "slave" and found["master_link_status"] == "up")


def _id(node: RedisNode) -> str:
    return str(node.ask("CLUSTER", "MYID").decode())
