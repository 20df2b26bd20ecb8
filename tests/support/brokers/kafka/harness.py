"""What tests do with Kafka, on the real server and on librdkafka's mock."""

import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # exported without saying so

from image_moderation.brokers.kafka.connection import client_settings
from image_moderation.brokers.kafka.messages import offset_of
from image_moderation.events.models import CHANNELS
from tests.support.brokers.harness import Features, Found
from tests.support.brokers.kafka.server import KafkaServer
from tests.support.servers import missing
from tests.support.service_process import ROOT
from tests.support.tls import make_certificate
from tests.support.waiting import wait_until

GROUP = "image-moderation"
ADMINISTRATION = 20.0
"""Seconds that a change of topics or groups may take."""


class KafkaHarness:
    """See `harness.Harness`. Its own clients are the administrator's, which need no login."""

    name = "kafka"
    features = Features(
        survives_kill=True,
        keeps_what_was_read=True,
        counts_deliveries=False,
        keeps_repeats_out=False,
        refuses_unroutable=False,
        stamps_arrival=True,
        own_position=True,
        removes_single_letters=False,
        trims=False,
        loses=("topic",),
    )
    url: str
    commands_url: str
    site_url: str
    admin: AdminClient
    _producer: Producer

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def url_at(self, port: int) -> str:
        return f"{self.url.rpartition(':')[0]}:{port}"

    def _connect(self) -> None:
        settings = client_settings(self.site_url)
        # Spread evenly, as by the images' ids: otherwise all that is sent within 10 ms goes to one partition,
        # and the mock forgets what is beyond 5 MB of one.
        spread = {"partitioner": "random", "sticky.partitioning.linger.ms": 0}
        self._producer = Producer(settings | spread | {"acks": "all", "enable.idempotence": True})
        self.admin = AdminClient(settings)

    def publish(
        self, channel: str, bodies: Sequence[bytes], headers: Mapping[str, str] | None = None
    ) -> None:
        self._declare(channel)
        failures: list[Any] = []

        def confirmed(error: Any, message: Any) -> None:
            if error is not None:
                failures.append(error)

        named: Any = None if headers is None else [(name, value.encode()) for name, value in headers.items()]
        for body in bodies:
            self._producer.produce(channel, body, headers=named, on_delivery=confirmed)
        left = self._producer.flush(20)
        assert not left, f"{left} messages were not confirmed"
        assert not failures, failures

    def _declare(self, channel: str) -> None:
        if not self._partitions(channel):
            with suppress(KafkaException):  # another was quicker
                self.admin.create_topics([NewTopic(channel)])[channel].result(ADMINISTRATION)

    def _partitions(self, channel: str) -> list[TopicPartition]:
        """Return the partitions of a topic; none where there is no such topic."""
        topic = self.admin.list_topics(channel, timeout=10).topics[channel]
        if topic.error is not None and topic.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            return []
        assert topic.error is None, topic.error
        return [TopicPartition(channel, partition) for partition in topic.partitions]

    def read(self, channel: str) -> list[Found]:
        consumer = self._consumer()
        try:
            found = []
            for place in self._partitions(channel):
                begin, end = _ends(consumer, place)
                if begin < end:
                    consumer.assign([TopicPartition(channel, place.partition, begin)])
                    found += _read_to(consumer, end)
        finally:
            consumer.close()
        found.sort(key=lambda message: message.timestamp()[1])
        return [
            Found(
                message.value(),
                {name: value.decode() for name, value in message.headers() or []},
            )
            for message in found
            if message.value() is not None
        ]

    def unbind(self, channel: str) -> None:
        """A topic needs nobody bound."""

    def bind(self, channel: str) -> None:
        """As above."""

    def waiting(self, channel: str) -> int:
        consumer = self._consumer()
        try:
            total = 0
            places = self._partitions(channel)
            for committed in consumer.committed(places, timeout=10) if places else []:
                begin, end = _ends(consumer, committed)
                total += end - max(begin, committed.offset)
            return total
        finally:
            consumer.close()

    def kept(self, channel: str) -> int:
        consumer = self._consumer()
        try:
            ends = [_ends(consumer, one) for one in self._partitions(channel)]
            return sum(end - begin for begin, end in ends)
        finally:
            consumer.close()

    def _consumer(self) -> Consumer:
        settings = {"group.id": GROUP, "enable.auto.commit": False, "fetch.wait.max.ms": 10}
        return Consumer(client_settings(self.site_url) | settings | {"enable.partition.eof": True})


class RealHarness(KafkaHarness):
    """On which the service may do no more than `deploy/kafka/acls.sh` says. One node, or three."""

    def __init__(self, place: Path, nodes: int = 1) -> None:
        self.server = KafkaServer(place, nodes, certificate=make_certificate(place))
        self.server.start()
        self.url, self.commands_url = self.server.url("service"), self.server.url("operator")
        self.site_url = self.server.site_url
        self._connect()

    def fresh(self) -> None:
        if not self.server.running:
            self.restart()
        try:
            self._empty()
        except KafkaException:  # the group still has a member that was killed
            self.server.wipe()
            self.restart()
        self._connect()

    def _empty(self) -> None:
        groups = [one.group_id for one in self.admin.list_consumer_groups().result(ADMINISTRATION).valid]
        if groups:
            for done in self.admin.delete_consumer_groups(groups).values():
                done.result(ADMINISTRATION)
        topics = self._topics()
        if topics:
            for done in self.admin.delete_topics(topics).values():
                done.result(ADMINISTRATION)
            wait_until(lambda: not self._topics(), "the topics are gone", ADMINISTRATION)

    def _topics(self) -> list[str]:
        return [name for name in self.admin.list_topics(timeout=10).topics if not name.startswith("__")]

    def kill(self) -> None:
        self.server.kill()

    def restart(self) -> None:
        self.server.start()

    def suspend(self) -> None:
        self.server.nodes[0].freeze()

    def resume(self) -> None:
        self.server.nodes[0].thaw()

    def close(self) -> None:
        self.server.kill()

    def lose(self, what: str) -> None:
        assert what == "topic"
        self.admin.delete_topics(["image.reported"])["image.reported"].result(ADMINISTRATION)


class MockHarness(KafkaHarness):
    """The mock, in a process of its own; `fresh` and `restart` give another address."""

    features = replace(KafkaHarness.features, survives_kill=False)

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self.restart()

    def fresh(self) -> None:
        self.kill()
        self.restart()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def restart(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.brokers.kafka.mock"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._process.stdout is not None
        self.url = f"kafka://{self._process.stdout.readline().decode().strip()}"
        self.commands_url = self.site_url = self.url
        self._connect()
        for name in CHANNELS:
            self._producer.list_topics(name, timeout=10)  # a topic comes to be when it is asked for

    def suspend(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def close(self) -> None:
        self.kill()

    def lose(self, what: str) -> None:
        missing("kafka")


def _ends(consumer: Consumer, place: TopicPartition) -> tuple[int, int]:
    """Return the first offset and the one after the last; wait while the partition has no leader."""
    deadline = time.monotonic() + ADMINISTRATION
    while True:
        try:
            return consumer.get_watermark_offsets(place, timeout=5)
        except KafkaException:
            if time.monotonic() > deadline:
                raise


def _read_to(consumer: Consumer, end: int) -> list[Any]:
    """Read one partition up to an offset. Compaction and transactions leave offsets without a record."""
    found: list[Any] = []
    deadline = time.monotonic() + 20
    while True:
        for message in consumer.consume(1000, 0.05):
            error = message.error()
            if error is None:
                found.append(message)
            if offset_of(message) + (error is None) >= end:  # a record, or the partition's end
                return found
        assert time.monotonic() < deadline, "the records are not all given"
