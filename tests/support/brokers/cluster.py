"""What a test may do with a broker of three nodes: end or freeze some, and find out which one leads."""

from collections.abc import Sequence
from typing import Protocol

from tests.support.brokers.harness import Harness

NODES = 3


class Node(Protocol):
    """One server of a cluster."""

    def kill(self) -> None:
        """SIGKILL it."""

    def freeze(self) -> None:
        """SIGSTOP it: its connections stay open, and nothing answers."""

    def thaw(self) -> None:
        """Let it go on, if it runs."""


class Cluster(Harness, Protocol):
    """A harness of several nodes, whose `kill`, `suspend` and `resume` are for all of them.

    `restart` brings back what is killed or frozen, and returns once every node has everything.
    """

    leaders: Sequence[str]
    """What has a leader of its own: a stream, a durable, a queue."""

    @property
    def nodes(self) -> Sequence[Node]:
        """All of them."""

    def leader(self, of: str) -> Node:
        """The node that leads one of `leaders`."""


class AllNodes:
    """What a harness does to its server, done to every node."""

    nodes: Sequence[Node]

    def kill(self) -> None:
        for node in self.nodes:
            node.kill()

    def suspend(self) -> None:
        for node in self.nodes:
            node.freeze()

    def resume(self) -> None:
        for node in self.nodes:
            node.thaw()
