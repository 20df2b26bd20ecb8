"""NATS JetStream on three nodes, whose stream the service makes with three replicas."""

import signal
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from nats.errors import Error
from nats.js import JetStreamContext
from nats.js.api import ConsumerInfo, StreamInfo
from nats.js.errors import NotFoundError

from image_moderation.brokers.nats.topology import next_message
from tests.support.brokers.cluster import NODES, AllNodes
from tests.support.brokers.harness import Found
from tests.support.brokers.nats import GROUP, STREAM, NatsHarness, OldNatsHarness
from tests.support.servers import free_port
from tests.support.waiting import wait_until

UP = 60.0
"""Seconds that a cluster may take to elect its leaders; servers of 2.9 may need more than thirty."""


T = TypeVar("T")


class NatsNode:
    """One server of a cluster; a frozen one keeps its connections and answers nothing."""

    def __init__(self, program: str, place: Path, name: str) -> None:
        self.name, self.port, self.route = name, free_port(), free_port()
        self._program, self._place = program, place / name
        self._process: subprocess.Popen[bytes] | None = None
        self.frozen = False

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def start(self, routes: Sequence[int]) -> None:
        """`routes` are those of all nodes."""
        self._place.mkdir(exist_ok=True)
        config = self._place / "server.conf"
        peers = ", ".join(f'"nats://127.0.0.1:{route}"' for route in routes)
        config.write_text(
            f'server_name: {self.name}\nlisten: "127.0.0.1:{self.port}"\n'
            f'jetstream {{ store_dir: "{self._place}" }}\n'
            f'cluster {{ name: test, listen: "127.0.0.1:{self.route}", routes: [{peers}] }}\n'
        )
        self._process = subprocess.Popen([self._program, "-c", str(config), "-l", str(self._place / "log")])

    @property
    def runs(self) -> bool:
        return self._process is not None

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            self.frozen = False

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        self.frozen = True

    def thaw(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self.frozen = False


class NatsCluster(AllNodes, NatsHarness):
    """See `harness.Harness`: `kill` ends all nodes, `restart` starts those that don't run."""

    patience = 2.0
    nodes: list[NatsNode]
    leaders: Sequence[str] = ("stream", "durable")

    def __init__(self, place: Path) -> None:
        program = self.program()
        self.nodes = [NatsNode(program, place, f"node-{number}") for number in range(NODES)]
        self.restart()

    def _url_of(self, role: str) -> str:
        return f"nats://{','.join(f'127.0.0.1:{node.port}' for node in self.nodes)}?replicas={NODES}"

    @property
    def servers(self) -> list[str]:
        """Those that answer."""
        return [node.url for node in self.nodes if node.runs and not node.frozen]

    @property
    def runs(self) -> bool:
        return all(node.runs for node in self.nodes)

    def restart(self) -> None:
        self.resume()
        for node in self.nodes:
            if not node.runs:
                node.start([one.route for one in self.nodes])
        wait_until(self._up, "every node of the cluster takes part", UP)
        wait_until(self._in_step, "every node has everything", UP)

    def _up(self) -> bool:
        """Whether each node has found the leader of all."""

        async def ask(jetstream: JetStreamContext) -> bool:
            await jetstream.account_info()
            return True

        try:
            return all(self._run(ask, [node.url]) for node in self.nodes)
        except (Error, OSError):
            return False

    def waiting(self, channel: str) -> int:
        return self._patiently(lambda: super(NatsCluster, self).waiting(channel))

    def read(self, channel: str) -> list[Found]:
        """One by one from the leader: 2.9.10 gives an ordered consumer on a node that came back only some."""

        async def find(jetstream: JetStreamContext) -> list[Found]:
            found: list[Found] = []
            sequence = 0
            while (message := await next_message(jetstream, channel, sequence + 1)) is not None:
                sequence = message.seq or 0
                found.append(Found(message.data or b"", {}))
            return found

        return self._patiently(lambda: self._run(find))

    def leader(self, of: str) -> NatsNode:
        async def find(jetstream: JetStreamContext) -> str:
            asked: StreamInfo | ConsumerInfo
            if of == "stream":
                asked = await jetstream.stream_info(STREAM)
            else:
                asked = await jetstream.consumer_info(STREAM, GROUP)
            if asked.cluster is None or not asked.cluster.leader:
                raise Error("no leader now")
            return asked.cluster.leader

        name = self._patiently(lambda: self._run(find))
        return next(node for node in self.nodes if node.name == name)

    def _patiently(self, call: Callable[[], T]) -> T:
        """Call again while a leader is elected, which nobody answers for."""
        answers: list[T] = []

        def answered() -> bool:
            with suppress(Error, OSError):
                answers.append(call())
            return bool(answers)

        wait_until(answered, "the cluster answers", UP)
        return answers[0]

    def _in_step(self) -> bool:
        """Whether every replica of the stream has all that was confirmed, as its leader sees it."""

        async def look(jetstream: JetStreamContext) -> bool:
            try:
                cluster = (await jetstream.stream_info(STREAM)).cluster
            except NotFoundError:
                return True
            peers = (cluster and cluster.replicas) or []
            return len(peers) == NODES - 1 and all(peer.current and not peer.offline for peer in peers)

        return self._patiently(lambda: self._run(look))


class OldNatsCluster(NatsCluster):
    """On Debian's server."""

    program = staticmethod(OldNatsHarness.program)
