"""Servers and Sentinels of a test's own, with whatever configuration."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import redis

from image_moderation.embedded import Engine
from tests.support.servers import free_port
from tests.support.tls import Certificate
from tests.support.waiting import wait_until

_UP = ("Ready to accept connections", "Sentinel ID is")


class RedisNode:
    """One server or Sentinel, as a context manager. Its port and its folder stay the same over restarts."""

    def __init__(
        self,
        engine: Engine,
        folder: Path,
        *lines: str,
        sentinel: bool = False,
        certificate: Certificate | None = None,
    ) -> None:
        """`lines` are of its configuration; with a certificate its port is over TLS."""
        self.engine = engine
        self.port = free_port()
        self.folder = folder / str(self.port)
        self.folder.mkdir(parents=True)
        ports = [f"port {self.port}"]
        if certificate is not None:
            files = [f"tls-cert-file {certificate.file}", f"tls-key-file {certificate.key}"]
            ports = ["port 0", f"tls-port {self.port}", *files, f"tls-ca-cert-file {certificate.file}"]
        own = ("bind 127.0.0.1", f"dir {self.folder}", 'save ""', *ports)
        self._config = self.folder / "server.conf"
        self._config.write_text("\n".join((*own, *lines, "")))
        self._more = ["--sentinel"] if sentinel else []
        self._log = self.folder / "log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """The log since the last start."""
        return self._log.read_text(errors="replace")

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "it has not been started"
        return self._process

    def client(self) -> Any:
        """Return a client, the caller's to close, which gives up after a second."""
        return redis.Redis(port=self.port, socket_timeout=1, socket_connect_timeout=1)

    def ask(self, *command: str | int) -> Any:
        with self.client() as client:
            return client.execute_command(*command)

    def info(self, section: str) -> dict[str, Any]:
        with self.client() as client:
            return dict(client.info(section))

    def add(self, *lines: str) -> None:
        """Add to its configuration, for the next start."""
        self._config.write_text("\n".join((self._config.read_text(), *lines, "")))

    def begin(self) -> None:
        """Start the process, and don't wait for it."""
        with self._log.open("wb") as out:
            command = [str(self.engine.path), str(self._config), *self._more]
            self._process = subprocess.Popen(command, stdout=out, stderr=out)

    def start(self) -> Self:
        self.begin()
        try:
            wait_until(self._is_up, "the server is up", 20)
        except BaseException:
            self.stop()
            raise
        return self

    def _is_up(self) -> bool:
        assert self.process.poll() is None, self.log
        return any(sign in self.log for sign in _UP)

    def kill(self) -> None:
        """End it with SIGKILL, like a crash."""
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        """Stop it with SIGSTOP: it answers nothing until `thaw`."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it, frozen or not. May be repeated."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            self.thaw()
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.stop()


def replicate(replica: RedisNode, primary: RedisNode, by: tuple[str, int] | None = None) -> None:
    """Make a server the replica of another, by way of an address, and return once it is in step."""
    host, port = by or ("127.0.0.1", primary.port)
    with primary.client() as client:
        client.config_set("repl-diskless-sync-delay", 0)
        replica.ask("REPLICAOF", host, port)

        def in_step() -> bool:
            """As the primary sees it: at first a replica answers only once a second."""
            client.set("in-step", "", px=1_000)
            client.wait(16, 20)  # asks every replica
            known = [value for value in client.info("replication").values() if isinstance(value, dict)]
            return any(one["port"] == replica.port and one["offset"] > 0 for one in known)

        wait_until(in_step, "the replica is in step", 20)


@contextmanager
def redis_process(
    engine: Engine, folder: Path, *lines: str, sentinel: bool = False, certificate: Certificate | None = None
) -> Iterator[int]:
    """Run a server or a Sentinel with these lines of configuration; give its port, which may be over TLS."""
    with RedisNode(engine, folder, *lines, sentinel=sentinel, certificate=certificate) as node:
        yield node.port
