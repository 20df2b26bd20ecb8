"""A Valkey Cluster of three nodes for tests, each with a third of the slots and without replicas."""

import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Self

import redis

from service.embedded import Engine
from tests.servers import free_port, wait_until

_SLOTS = ((0, 5460), (5461, 10922), (10923, 16383))


class ValkeyCluster:
    """A context manager; the nodes end with it."""

    def __init__(self, base_dir: Path, engine: Engine) -> None:
        self._base_dir = base_dir
        self._engine = engine
        self._nodes: list[subprocess.Popen[bytes]] = []
        self._ports = [free_port() for _ in _SLOTS]

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{port}" for port in self._ports)

    @property
    def node_urls(self) -> list[str]:
        return [f"redis://127.0.0.1:{port}" for port in self._ports]

    def __enter__(self) -> Self:
        try:
            for port in self._ports:
                self._nodes.append(self._start(port))
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

    def _start(self, port: int) -> subprocess.Popen[bytes]:
        folder = self._base_dir / str(port)
        folder.mkdir(parents=True)
        options = {
            "port": port,
            "bind": "127.0.0.1",
            "dir": folder,
            "logfile": folder / "server.log",
            "save": "",
            "cluster-enabled": "yes",
            "cluster-port": free_port(),
            "cluster-node-timeout": 2000,
            "appendonly": "no",
        }
        arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
        return subprocess.Popen([self._engine.path, *arguments], stdout=subprocess.DEVNULL)

    def _join(self) -> None:
        clients = [redis.Redis.from_url(url) for url in self.node_urls]
        try:
            for client, (first, last) in zip(clients, _SLOTS, strict=True):
                wait_until(lambda client=client: _answers(client), "a node of the cluster answers")
                client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
            for port, node in zip(self._ports[1:], clients[1:], strict=True):
                bus = node.config_get("cluster-port")["cluster-port"]
                clients[0].execute_command("CLUSTER", "MEET", "127.0.0.1", port, bus)
            for client in clients:
                wait_until(lambda client=client: _is_whole(client), "the nodes form a cluster", timeout=20)
        finally:
            for client in clients:
                client.close()


def _answers(client: redis.Redis) -> bool:
    with suppress(redis.ConnectionError):
        return bool(client.ping())
    return False


def _is_whole(client: redis.Redis) -> bool:
    lines = client.execute_command("CLUSTER", "INFO").splitlines()
    return b"cluster_state:ok" in lines and f"cluster_known_nodes:{len(_SLOTS)}".encode() in lines
