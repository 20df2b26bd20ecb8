"""Apache Kafka, as `make servers` fetches it: one node or three on loopback, each broker and controller."""

import shutil
import signal
import socket
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from confluent_kafka.admin import (  # type: ignore[attr-defined]  # exported without saying so
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialUpsertion,
)

from tests.support.brokers.kafka.access import grant
from tests.support.servers import free_port, missing
from tests.support.service_process import ROOT
from tests.support.tls import Certificate
from tests.support.waiting import wait_until

JARS = ROOT / ".servers" / "kafka"
CLUSTER_ID = "aW1hZ2UtbW9kZXJhdA"
USERS = ("service", "producer", "moderator", "consumer", "operator", "nobody")
"""Of `deploy/kafka/acls.sh`, but for the last, who may do nothing."""
PASSWORD = "a secret"
START = 120.0
"""Seconds that three nodes may take on a busy machine."""


def fetched() -> bool:
    """Whether the real server is on this machine, whole: Make copies the file last."""
    return (JARS / "pom.xml").exists() and shutil.which("java") is not None


def java(*arguments: str, memory: int = 256) -> list[str]:
    """Return a command of Kafka's own classes; a quick start counts more here than speed later."""
    if not fetched():
        missing("kafka")
    flags = [f"-Xmx{memory}m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true"]
    return ["java", *flags, "-cp", f"{JARS}/*", *arguments]


ALONE = {
    # A node that was killed can't come back before its session has ended.
    "broker.session.timeout.ms": "1500",
    "broker.heartbeat.interval.ms": "300",
}
"""Where there is nobody to take over, so that nobody measures how long it takes."""


class Node:
    """One process, with its own folder and ports."""

    def __init__(self, number: int, folder: Path) -> None:
        self.number, self.folder = number, folder
        self.open, self.sasl, self.tls, self.controller = (free_port() for _ in range(4))
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def start(self) -> None:
        if not self.data.exists():
            self.data.mkdir(parents=True)
            meta = f"version=1\ncluster.id={CLUSTER_ID}\nnode.id={self.number}\n"
            (self.data / "meta.properties").write_text(meta)
        with (self.folder / "server.log").open("ab") as log:
            command = java("kafka.Kafka", str(self.folder / "server.properties"))
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        """End it as its operator would: it hands its partitions over to others."""
        assert self.process is not None
        self.process.terminate()
        self.process.wait(START)
        self.process = None

    def freeze(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def listens(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "server.log").read_text()[-2000:]
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.open)):
            return True
        return False


class KafkaServer:
    """A cluster. Whoever does not log in is its administrator; `USERS` log in with PASSWORD.

    They may do what `deploy/kafka/acls.sh` grants them.
    """

    def __init__(
        self,
        place: Path,
        nodes: int = 1,
        settings: Mapping[str, str] | None = None,
        certificate: Certificate | None = None,
    ) -> None:
        self.nodes = [Node(number, place / f"kafka-{number}") for number in range(1, nodes + 1)]
        self._settings = dict(settings or {})
        self._certificate = certificate
        for node in self.nodes:
            node.folder.mkdir()
            lines = [f"{name}={value}\n" for name, value in self._properties(node).items()]
            (node.folder / "server.properties").write_text("".join(lines))

    def _properties(self, node: Node) -> dict[str, str]:
        copies = str(len(self.nodes))
        voters = ",".join(f"{one.number}@127.0.0.1:{one.controller}" for one in self.nodes)
        listeners = {"OPEN": node.open, "SASL": node.sasl, "CONTROLLER": node.controller}
        protocols = "OPEN:PLAINTEXT,SASL:SASL_PLAINTEXT,TLS:SASL_SSL,CONTROLLER:PLAINTEXT"
        own = {}
        if self._certificate is not None:
            listeners["TLS"] = node.tls
            both = node.folder / "server.pem"
            both.write_text(self._certificate.key.read_text() + self._certificate.file.read_text())
            own = {"ssl.keystore.type": "PEM", "ssl.keystore.location": str(both)}
        plain = " ".join(f'user_{user}="{PASSWORD}"' for user in USERS)
        module = "org.apache.kafka.common.security"
        logins = {
            "plain": f"{module}.plain.PlainLoginModule required {plain};",
            "scram-sha-512": f"{module}.scram.ScramLoginModule required;",
        }
        return {
            "process.roles": "broker,controller",
            "node.id": str(node.number),
            "controller.quorum.voters": voters,
            "listeners": ",".join(f"{name}://127.0.0.1:{port}" for name, port in listeners.items()),
            "listener.security.protocol.map": protocols,
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "OPEN",
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
            **{
                f"listener.name.{listener}.{mechanism}.sasl.jaas.config": login
                for listener in ("sasl", "tls")
                for mechanism, login in logins.items()
            },
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
            "log.dirs": str(node.data),
            "num.partitions": "4",
            "auto.create.topics.enable": "false",
            "default.replication.factor": copies,
            "min.insync.replicas": "2" if len(self.nodes) > 1 else "1",
            "offsets.topic.num.partitions": "1",
            "offsets.topic.replication.factor": copies,
            "transaction.state.log.num.partitions": "1",
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            # Its buffer is 128 MB, half of the memory.
            "log.cleaner.dedupe.buffer.size": "8388608",
            "log.cleaner.backoff.ms": "200",
            "log.segment.delete.delay.ms": "1000",
            "log.retention.check.interval.ms": "1000",
            **({} if len(self.nodes) > 1 else ALONE),
            **own,
            **self._settings,
        }

    @property
    def servers(self) -> str:
        """The addresses that need no login, for any client's `bootstrap.servers`."""
        return self._addresses("open")

    @property
    def site_url(self) -> str:
        return f"kafka://{self.servers}"

    def url(self, user: str, *, tls: bool = False, sasl: str = "") -> str:
        """Return the URL of one of USERS; `sasl` is the mechanism if not the default."""
        scheme, listener = ("kafka+tls", "tls") if tls else ("kafka", "sasl")
        given = {"sasl": sasl} if sasl else {}
        if tls and self._certificate is not None:
            given["cafile"] = str(self._certificate.file)
        query = "&".join(f"{name}={value}" for name, value in given.items())
        password = PASSWORD.replace(" ", "%20")
        return f"{scheme}://{user}:{password}@{self._addresses(listener)}{'?' if query else ''}{query}"

    def _addresses(self, listener: str) -> str:
        return ",".join(f"127.0.0.1:{getattr(node, listener)}" for node in self.nodes)

    @property
    def running(self) -> bool:
        return all(node.process is not None for node in self.nodes)

    def admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.servers, "log_level": 0})

    def start(self) -> None:
        """Start the nodes that do not run; return once all answer and the users have their rights."""
        new = not self.nodes[0].data.exists()
        for node in self.nodes:
            if node.process is None:
                node.start()
        wait_until(lambda: all(node.listens() for node in self.nodes), "Kafka's nodes are up", START)
        admin = self.admin()
        wait_until(lambda: self._answers(admin), "Kafka's nodes know each other", START)
        if new:
            self._let_users_in(admin)

    def _answers(self, admin: AdminClient) -> bool:
        with suppress(Exception):
            return len(admin.list_topics(timeout=1).brokers) == len(self.nodes)
        return False

    def _let_users_in(self, admin: AdminClient) -> None:
        scram = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
        credentials: list[UserScramCredentialAlteration] = [
            UserScramCredentialUpsertion(user, scram, PASSWORD.encode()) for user in USERS
        ]
        for done in admin.alter_user_scram_credentials(credentials).values():
            done.result(20)
        grant(admin)

    def wipe(self) -> None:
        """Kill all nodes, and forget what they stored."""
        self.kill()
        for node in self.nodes:
            shutil.rmtree(node.data, ignore_errors=True)

    def kill(self) -> None:
        for node in self.nodes:
            node.kill()

    def run(self, tool: str, *arguments: str) -> str:
        """Run one of Kafka's own tools, by its class, as the administrator; return what it printed."""
        command = java(tool, "--bootstrap-server", self.servers, *arguments)
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
        return done.stdout
