"""Kafka: librdkafka's mock cluster in a process of its own, or with TEST_KAFKA_URL a real one, whose topics
and group of this service's names are then deleted again and again.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # exported without saying so

from image_moderation.brokers.kafka.connection import client_settings
from image_moderation.events.models import CHANNELS
from tests.support.brokers.harness import Features, Found
from tests.support.service_process import ROOT

GROUP = "image-moderation"
PARTITIONS = 4
"""Of every topic, which is what the mock gives them."""


class KafkaHarness:
    """See `harness.Harness`. `fresh` and `restart` of the mock give another address."""

    name = "kafka"
    features = Features(
        survives_kill=False,
        keeps_what_was_read=True,
        counts_deliveries=False,
        keeps_repeats_out=False,
        refuses_unroutable=False,
        stamps_arrival=True,
        own_position=True,
        removes_single_letters=False,
        trims=False,
    )

    def __init__(self, place: Path) -> None:
        self._real = os.environ.get("TEST_KAFKA_URL")
        self._mock: subprocess.Popen[bytes] | None = None
        self._url = ""
        self._producer: Producer
        self.fresh()

    @property
    def url(self) -> str:
        return self._url

    @property
    def commands_url(self) -> str:
        return self.url

    @property
    def port(self) -> int:
        return int(self._url.rpartition(":")[2])

    def url_at(self, port: int) -> str:
        return f"kafka://127.0.0.1:{port}"

    def fresh(self) -> None:
        if self._real:
            self._url = self._real
            self._empty(AdminClient(client_settings(self._real)))
        else:
            self.kill()
            self.restart()
        self._producer = Producer(client_settings(self._url) | {"acks": "all", "enable.idempotence": True})

    def _empty(self, admin: AdminClient) -> None:
        for deleted in (admin.delete_consumer_groups([GROUP]), admin.delete_topics(list(CHANNELS))):
            for one in deleted.values():
                with suppress(KafkaException):
                    one.result(10)
        for name in CHANNELS:
            _make(admin, name)

    def kill(self) -> None:
        if self._mock is not None:
            self._mock.kill()
            self._mock.communicate()
            self._mock = None

    def restart(self) -> None:
        if self._real:
            return
        self._mock = subprocess.Popen(
            [sys.executable, "-m", "tests.support.brokers.kafka_mock"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._mock.stdout is not None
        self._url = f"kafka://{self._mock.stdout.readline().decode().strip()}"
        asking = Producer(client_settings(self._url))
        for name in CHANNELS:
            asking.list_topics(name, timeout=10)  # a topic of the mock comes to be when it is asked for

    def suspend(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._mock is not None, "a cluster that is not this harness's own"
        self._mock.send_signal(number)

    def close(self) -> None:
        self.kill()

    def publish(
        self, channel: str, bodies: Sequence[bytes], headers: Mapping[str, str] | None = None
    ) -> None:
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

    def read(self, channel: str) -> list[Found]:
        consumer = self._consumer()
        try:
            found = []
            for partition in range(PARTITIONS):
                begin, end = consumer.get_watermark_offsets(TopicPartition(channel, partition), timeout=10)
                if begin < end:
                    consumer.assign([TopicPartition(channel, partition, begin)])
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
            places = [TopicPartition(channel, partition) for partition in range(PARTITIONS)]
            total = 0
            for committed in consumer.committed(places, timeout=10):
                begin, end = consumer.get_watermark_offsets(committed, timeout=10)
                total += end - max(begin, committed.offset)
            return total
        finally:
            consumer.close()

    def kept(self, channel: str) -> int:
        consumer = self._consumer()
        try:
            places = [TopicPartition(channel, partition) for partition in range(PARTITIONS)]
            return sum(
                end - begin
                for begin, end in (consumer.get_watermark_offsets(one, timeout=10) for one in places)
            )
        finally:
            consumer.close()

    def lose(self, what: str) -> None:
        raise NotImplementedError(what)

    def _consumer(self) -> Consumer:
        return Consumer(
            client_settings(self._url)
            | {"group.id": GROUP, "enable.auto.commit": False, "fetch.wait.max.ms": 10}
        )


def _make(admin: AdminClient, name: str) -> None:
    """A deleted topic is gone some time after the answer."""
    deadline = time.monotonic() + 20
    while True:
        try:
            admin.create_topics([NewTopic(name, num_partitions=PARTITIONS)])[name].result(10)
        except KafkaException:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


def _read_to(consumer: Consumer, end: int) -> list[Any]:
    found: list[Any] = []
    deadline = time.monotonic() + 20
    while not found or found[-1].offset() < end - 1:
        found += [message for message in consumer.consume(1000, 0.05) if message.error() is None]
        assert time.monotonic() < deadline, "the records are not all given"
    return found
