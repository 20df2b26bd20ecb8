"""RabbitMQ on three nodes, with quorum queues on all of them."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from subprocess import SubprocessError
from typing import Any, TypeVar

from aiormq.exceptions import AMQPError

from tests.support.brokers.cluster import NODES, AllNodes
from tests.support.brokers.harness import Found
from tests.support.brokers.rabbitmq import GROUP, RabbitmqHarness
from tests.support.brokers.rabbitmq_node import PortMapper, RabbitmqNode
from tests.support.servers import free_port
from tests.support.waiting import wait_until

UP = 120.0
"""Seconds that three nodes may take to start on a busy machine."""
_CONFIG = """
cluster_formation.peer_discovery_backend = classic_config
cluster_partition_handling = pause_minority
net_ticktime = 10
"""
"""As docs/brokers.md advises; nodes that hang are noticed within ten seconds, not sixty."""
_LEADER = """
{ok, Q} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<"%s">>)),
{Name, _} = amqqueue:get_pid(Q),
{ok, _, {_, Node}} = ra:members({Name, node()}),
Node.
"""
_COMPLETE = """
length(rabbit_nodes:all_running()) =:= %d andalso lists:all(
  fun(Q) -> length(proplists:get_value(online, rabbit_quorum_queue:info(Q, [online]))) =:= %d end,
  [Q || Q <- rabbit_amqqueue:list(), amqqueue:is_quorum(Q)]).
"""

T = TypeVar("T")


class RabbitmqCluster(AllNodes, RabbitmqHarness):
    """See `cluster.Cluster`."""

    name = "rabbitmq"
    nodes: list[RabbitmqNode]
    leaders: Sequence[str] = ("image.reported", "image.reviewed")
    seen_arguments: dict[str, Any] = {"x-queue-type": "quorum"}  # noqa: RUF012 - as in the class above

    def __init__(self, place: Path) -> None:
        self._mapper = PortMapper(place)
        ports = [free_port() for _ in range(NODES)]
        config = _CONFIG + "".join(
            f"cluster_formation.classic_config.nodes.{number} = test-{port}@localhost\n"
            for number, port in enumerate(ports, 1)
        )
        self.nodes = []
        for port in ports:
            folder = place / str(port)
            folder.mkdir()
            self.nodes.append(RabbitmqNode(self._mapper, folder, port, config))
        self._seen: dict[str, list[Found]] = {}
        self._passwords: dict[str, str] = {}
        self.restart()

    @property
    def node(self) -> RabbitmqNode:
        """The first that answers."""
        return next(node for node in self.nodes if node.answers)

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@{','.join(f'127.0.0.1:{node.port}' for node in self.nodes)}/"

    @property
    def runs(self) -> bool:
        return all(node.answers for node in self.nodes)

    def restart(self) -> None:
        self.resume()
        for node in self.nodes:
            if not node.runs:
                node.start()
        wait_until(lambda: all(node.listens() for node in self.nodes), "every node is up", UP)
        wait_until(lambda: self._told(_COMPLETE % (NODES, NODES)) == "true", "every queue is everywhere", UP)

    def leader(self, of: str) -> RabbitmqNode:
        name = wait_until(
            lambda: self._told(_LEADER % f"{GROUP}.{of}"), f"the queue of {of} has a leader", UP
        )
        return next(node for node in self.nodes if node.name == name.strip("'"))

    def waiting(self, channel: str) -> int:
        return self._patiently(lambda: super(RabbitmqCluster, self).waiting(channel))

    def read(self, channel: str) -> list[Found]:
        return self._patiently(lambda: super(RabbitmqCluster, self).read(channel))

    def _told(self, expression: str) -> str:
        """What a node answers, "" if nothing."""
        try:
            return self.node.ctl("eval", expression).strip()
        except SubprocessError:
            return ""

    def _patiently(self, call: Callable[[], T]) -> T:
        """Call again while a leader is elected, which nobody answers for."""
        answers: list[T] = []

        def answered() -> bool:
            with suppress(AMQPError, OSError, SubprocessError, RuntimeError):
                answers.append(call())
            return bool(answers)

        wait_until(answered, "the cluster answers", UP)
        return answers[0]
