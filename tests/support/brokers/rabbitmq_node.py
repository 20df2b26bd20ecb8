"""One RabbitMQ server, on its own or of a cluster, and the port mapper that the nodes of a machine share."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tests.support.servers import free_port, missing
from tests.support.waiting import wait_until


def _find(program: str) -> str:
    """Debian's own wrappers change the user first, who could not write here."""
    return (
        shutil.which(program, path="/usr/lib/rabbitmq/bin")
        or shutil.which(program)
        or missing("rabbitmq-server")
    )


class PortMapper:
    """Erlang's epmd on a port of its own, started before a server would do so, and so ours to end."""

    def __init__(self, home: Path) -> None:
        self.env = os.environ | {
            "HOME": str(home),  # where the cookie is, which the nodes of a cluster share
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(free_port()),
        }
        program = shutil.which("epmd")
        self._process = program and subprocess.Popen(
            [program], env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def close(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()


class RabbitmqNode:
    """One server; a frozen one keeps its connections and answers nothing."""

    def __init__(self, mapper: PortMapper, place: Path, port: int, config: str = "") -> None:
        """`place` is an empty folder of its own; `config` are further lines of rabbitmq.conf."""
        self.port = port
        self.name = f"test-{port}@localhost"
        self.frozen = False
        self.tool = _find("rabbitmqctl")
        self._program = _find("rabbitmq-server")
        self._place = place
        self._process: subprocess.Popen[bytes] | None = None
        self.env = mapper.env | {
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(place / "data"),
            "RABBITMQ_LOG_BASE": str(place / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(place / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(place / "rabbitmq"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        }
        (place / "plugins").write_text("[].\n")
        (place / "rabbitmq.conf").write_text(f"loopback_users = none\n{config}")

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    @property
    def runs(self) -> bool:
        return self._process is not None

    @property
    def answers(self) -> bool:
        return self.runs and not self.frozen

    def start(self) -> None:
        with (self._place / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._program], env=self.env, stdout=log, stderr=log, start_new_session=True
            )

    def listens(self) -> bool:
        """By itself, because the client would write about each attempt."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def kill(self) -> None:
        """SIGKILL it, once it has written down its quorum queues.

        RabbitMQ writes a quorum queue's name down about a second after its declaration. Killed before, it
        has the queue for ever without a leader, and answers nobody who consumes from it.
        """
        if self._process is None:
            return
        if not self.frozen:
            wait_until(self._knows_its_queues, "the server has written down its quorum queues")
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None
        self.frozen = False

    def _knows_its_queues(self) -> bool:
        for names in self._place.glob("data/*/quorum/*/names.dets"):
            written = names.read_bytes()
            return all(queue.name.encode() in written for queue in names.parent.iterdir() if queue.is_dir())
        return True

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)
        self.frozen = True

    def thaw(self) -> None:
        if self.runs:
            self._signal(signal.SIGCONT)
            self.frozen = False

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, number)

    def ctl(self, *command: str) -> str:
        """Run rabbitmqctl on it; return what it prints."""
        return subprocess.run(
            self.ctl_command(*command), env=self.env, capture_output=True, text=True, check=True, timeout=60
        ).stdout

    def ctl_command(self, *command: str) -> Sequence[str]:
        return [self.tool, "--quiet", "-n", self.name, *command]
