"""Kafka: librdkafka's mock cluster, or with TEST_KAFKA_URL a real one."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.brokers.harness import Features, Found
from tests.service_process import ROOT

GROUPS = {"image.reported": "image-moderation", "image.reviewed": "image-moderation-reviewed"}
TOPICS = (
    "image.reported",
    "image.reviewed",
    "image.blocked",
    "image.unblocked",
    "image.review-requested",
    "image.dead-letter",
)
PARTITIONS = 4
SECONDS = 10


class KafkaHarness:
    """See `harness.Harness`."""

    name = "kafka"
    features = Features(
        survives_kill=False,  # the mock keeps nothing, and a real one is not ours to kill
        keeps_what_was_read=True,
        counts_deliveries=False,
        keeps_repeats_out=False,
        refuses_unroutable=False,
        stamps_arrival=True,
        own_position=True,
        removes_single_letters=False,
        trims=False,
        several_members="TEST_KAFKA_URL" in os.environ,
        loses=(),  # nor does the mock delete a topic or a group
    )

    def __init__(self, place: Path) -> None:
        self._given = os.environ.get("TEST_KAFKA_URL")
        self._address = (self._given or "").removeprefix("kafka://")
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"kafka://{self._address}"

    def fresh(self) -> None:
        if self._given:
            self._empty()
            return
        self.close()
        command = [sys.executable, "-m", "tests.brokers.kafka_mock"]
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        self._address = self._process.stdout.readline().strip()
        admin = AdminClient({"bootstrap.servers": self._address})
        for topic in TOPICS:
            admin.list_topics(topic, timeout=SECONDS)  # which makes it

    def _empty(self) -> None:
        admin = AdminClient({"bootstrap.servers": self._address})
        for future in admin.delete_topics(list(TOPICS)).values():
            try:
                future.result(SECONDS)
            except KafkaException:
                continue  # it was not there
        for future in admin.delete_consumer_groups(list(GROUPS.values())).values():
            try:
                future.result(SECONDS)
            except KafkaException:
                continue
        time.sleep(1)  # a topic's name is free a moment after it was deleted
        for future in admin.create_topics([NewTopic(topic, PARTITIONS) for topic in TOPICS]).values():
            future.result(SECONDS)

    def kill(self) -> None:
        raise NotImplementedError("nothing would be left of it")

    def restart(self) -> None:
        raise NotImplementedError("nothing would be left of it")

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def publish(
        self, channel: str, bodies: Sequence[bytes], headers: Mapping[str, str] | None = None
    ) -> None:
        producer = Producer({"bootstrap.servers": self._address, "acks": "all", "linger.ms": 5})
        failed: list[object] = []
        for body in bodies:
            producer.produce(
                channel,
                body,
                headers={name: value.encode() for name, value in (headers or {}).items()},
                on_delivery=lambda error, _: failed.append(error) if error else None,
            )
        assert producer.flush(SECONDS) == 0
        assert not failed, failed

    def read(self, channel: str) -> list[Found]:
        found: list[tuple[int, Found]] = []
        consumer = Consumer(
            {"bootstrap.servers": self._address, "group.id": "reader", "enable.auto.commit": False}
        )
        try:
            ends = self._ends(consumer, channel)
            consumer.assign([TopicPartition(channel, number, first) for number, (first, _) in ends.items()])
            left = sum(last - first for first, last in ends.values())
            deadline = time.monotonic() + SECONDS
            while len(found) < left:
                assert time.monotonic() < deadline, f"{channel}: {len(found)} of {left} records"
                for record in consumer.consume(left - len(found), 0.2):
                    assert record.error() is None, record.error()
                    pairs: Any = record.headers() or ()
                    headers = {name: (value or b"").decode() for name, value in pairs}
                    found.append((record.timestamp()[1], Found(record.value() or b"", headers)))
        finally:
            consumer.close()
        return [one for _, one in sorted(found, key=lambda pair: pair[0]) if one.body]

    def unbind(self, channel: str) -> None:
        """A topic needs nobody bound."""

    def bind(self, channel: str) -> None:
        """As above."""

    def waiting(self, channel: str) -> int:
        consumer = Consumer({"bootstrap.servers": self._address, "group.id": GROUPS[channel]})
        try:
            ends = self._ends(consumer, channel)
            committed = consumer.committed([TopicPartition(channel, number) for number in ends], SECONDS)
            return sum(ends[one.partition][1] - max(one.offset, ends[one.partition][0]) for one in committed)
        finally:
            consumer.close()

    def kept(self, channel: str) -> int:
        consumer = Consumer({"bootstrap.servers": self._address, "group.id": "reader"})
        try:
            return sum(last - first for first, last in self._ends(consumer, channel).values())
        finally:
            consumer.close()

    def lose(self, what: str) -> None:
        raise NotImplementedError(what)

    def _ends(self, consumer: Consumer, channel: str) -> dict[int, tuple[int, int]]:
        topic = consumer.list_topics(channel, SECONDS).topics[channel]
        ends: dict[int, tuple[int, int]] = {}
        for number in topic.partitions:
            found = consumer.get_watermark_offsets(TopicPartition(channel, number), SECONDS)
            assert found is not None
            ends[number] = found
        return ends
