"""A Valkey Cluster for tests, of a few nodes that share the slots and have no replicas."""

import subprocess
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Self

import redis

from image_moderation.embedded import Engine
from tests.support.servers import free_port
from tests.support.waiting import wait_until

_SLOTS = 16_384


class ValkeyCluster:
    """A context manager that starts and stops the nodes."""

    def __init__(self, base_dir: Path, engine: Engine, *, nodes: int = 3) -> None:
        self._base_dir = base_dir
        self._engine = engine
        self._nodes: list[subprocess.Popen[bytes]] = []
        self._ports = [free_port() for _ in range(nodes)]
        self._bus_ports = [free_port() for _ in range(nodes)]

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{port}" for port in self._ports)

    @property
    def node_urls(self) -> list[str]:
        return [f"redis://127.0.0.1:{port}" for port in self._ports]

    def __enter__(self) -> Self:
        try:
            for port, bus_port in zip(self._ports, self._bus_ports, strict=True):
                self._nodes.append(self._start(port, bus_port))
            self._join()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def stop(self) -> None:
        for node in self._nodes:
            node.terminate()
        for node in self._nodes:
            try:
                node.wait(5)
            except subprocess.TimeoutExpired:
                node.kill()
                node.wait()
        self._nodes.clear()

    def _start(self, port: int, bus_port: int) -> subprocess.Popen[bytes]:
        folder = self._base_dir / str(port)
        folder.mkdir(parents=True)
        options = {
            "port": port,
            "bind": "127.0.0.1",
            "dir": folder,
            "logfile": folder / "server.log",
            "save": "",
            "cluster-enabled": "yes",
            "cluster-port": bus_port,
            "cluster-node-timeout": 2000,
            "appendonly": "no",
        }
        arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
        return subprocess.Popen([self._engine.path, *arguments], stdout=subprocess.DEVNULL)

    def _join(self) -> None:
        clients = [redis.Redis.from_url(url) for url in self.node_urls]
        try:
            wait_until(lambda: all(map(_answers, clients)), "the nodes of the cluster answer")
            for number, client in enumerate(clients):
                first, beyond = (_SLOTS * n // len(clients) for n in (number, number + 1))
                _cluster(client, "ADDSLOTSRANGE", first, beyond - 1)
            for port, bus_port in zip(self._ports[1:], self._bus_ports[1:], strict=True):
                _cluster(clients[0], "MEET", "127.0.0.1", port, bus_port)
            whole = partial(_is_whole, nodes=len(clients))
            wait_until(lambda: all(map(whole, clients)), "the nodes form a cluster", timeout=20)
        finally:
            for client in clients:
                client.close()


def _answers(client: redis.Redis) -> bool:
    with suppress(redis.ConnectionError):
        return bool(client.ping())
    return False


def _is_whole(client: redis.Redis, nodes: int) -> bool:
    lines = _cluster(client, "INFO").splitlines()
    return b"cluster_state:ok" in lines and b"cluster_known_nodes:%d" % nodes in lines


def _cluster(client: redis.Redis, *words: str | int) -> Any:
    execute: Any = client.execute_command  # untyped in redis-py
    return execute("CLUSTER", *words)
