"""FastStream and the client libraries, where the brokers use more than their documents promise.

An upgrade that changes one of these fails here first.
"""

import ast
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiormq
import pytest
from aio_pika.robust_connection import RobustConnection
from aiormq.abc import DeliveredMessage
from confluent_kafka import Message
from faststream.confluent import TestKafkaBroker
from faststream.nats import TestNatsBroker
from faststream.rabbit import RabbitBroker, TestRabbitBroker
from faststream.redis import TestRedisBroker
from nats.aio.msg import Msg
from pamqp.commands import Basic
from pamqp.header import ContentHeader
from prometheus_client import CollectorRegistry
from redis.asyncio.connection import AbstractConnection

import image_moderation
from image_moderation.brokers import kafka, nats, rabbitmq, redis
from image_moderation.brokers.kafka.messages import Batch as KafkaBatch
from image_moderation.brokers.kafka.messages import PartitionOffsets
from image_moderation.brokers.port import Options
from image_moderation.brokers.rabbitmq.messages import Batch
from image_moderation.brokers.redis.messages import batch
from image_moderation.domain.message import RawMessage

PACKAGE = Path(image_moderation.__file__).parent
CHANNEL = "image.reported"


def options(url: str, registry: CollectorRegistry) -> Options:
    return Options(url, "group", "host-1", 10, lambda: 0, 1, registry=registry)


def rabbitmq_batch() -> Batch:
    delivered = DeliveredMessage(
        delivery=Basic.Deliver("tag", 1, False, "image-moderation", CHANNEL),
        header=ContentHeader(properties=Basic.Properties(message_id="id")),
        body=b"{}",
        channel=None,  # type: ignore[arg-type]  # not acked here
    )
    return Batch(CHANNEL, [delivered, delivered])


def nats_batch() -> list[Msg]:
    ack = "$JS.ACK.IMAGE_MODERATION.group.1.{}.1.1795500000000000000.0"
    return [Msg(None, CHANNEL, ack.format(number), b"{}", None) for number in (1, 2)]  # type: ignore[arg-type]


def kafka_batch() -> KafkaBatch:
    batch = KafkaBatch()
    for offset in (1, 2):
        batch.add(Message(topic=CHANNEL, partition=0, offset=offset, value=b"{}"), PartitionOffsets())
    return batch


@pytest.mark.parametrize(
    ("module", "url", "fake", "sent"),
    [
        (redis, "redis://h", TestRedisBroker, batch(CHANNEL, [(b"1-0", [b"__data__", b"{}"])] * 2)),
        (nats, "nats://h", TestNatsBroker, nats_batch()),
        (rabbitmq, "amqp://h", TestRabbitBroker, rabbitmq_batch()),
        (kafka, "kafka://h", TestKafkaBroker, kafka_batch()),
    ],
    ids=["redis", "nats", "rabbitmq", "kafka"],
)
async def test_a_batch_passes_through_faststream_to_the_handler_and_is_measured(
    module: Any, url: str, fake: Any, sent: Any
) -> None:
    registry = CollectorRegistry()
    transport = module.make_transport(options(url, registry))
    handled: list[RawMessage] = []

    async def handle(messages: Sequence[RawMessage]) -> None:
        handled.extend(messages)
        if len(handled) > 2:
            raise RuntimeError("the handler's own")

    reader = transport.readers[0]
    reader.handler = handle
    async with fake(transport.broker, connect_only=True):
        reader.subscriber.schema()
        await reader.subscriber.process_message(sent)
        assert [(one.channel, one.body) for one in handled] == [(CHANNEL, b"{}")] * 2
        with pytest.raises(RuntimeError, match="the handler's own"):
            await reader.subscriber.process_message(sent)
    names = {sample.name for metric in registry.collect() for sample in metric.samples if sample.value}
    assert "faststream_received_messages_total" in names


def test_what_is_replaced_in_client_libraries_is_still_there() -> None:
    """See redis_connection.py and, of rabbitmq, connection.py and decoding.py for the reasons."""
    for name in ("pack_command", "pack_commands", "send_packed_command", "check_health", "disconnect"):
        assert callable(getattr(AbstractConnection, name)), name
    assert list(inspect.signature(AbstractConnection.send_packed_command).parameters) == [
        "self", "command", "check_health"
    ]  # fmt: skip
    assert "_writer" in inspect.getsource(AbstractConnection)
    assert list(inspect.signature(Basic.Properties.unmarshal).parameters)[1:] == ["flags", "data"]
    assert list(inspect.signature(Basic.Deliver.unmarshal).parameters)[1:] == ["data"]
    assert Basic.Deliver.__slots__ == [
        "consumer_tag", "delivery_tag", "redelivered", "exchange", "routing_key"
    ]  # fmt: skip
    for name in ("_on_deliver_frame", "_get_frame", "_read_content"):
        assert inspect.iscoroutinefunction(getattr(aiormq.Channel, name)), name
    assert isinstance(RabbitBroker("amqp://h")._connection_kwargs, dict)
    assert "_on_connection_close" in inspect.getsource(RobustConnection)


def test_nothing_internal_of_faststream_is_used() -> None:
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            modules += [name.name for name in node.names] if isinstance(node, ast.Import) else []
            assert not any(name.startswith("faststream._") for name in modules), path
            assert not (isinstance(node, ast.Attribute) and node.attr == "__class__"), path
            assert not (isinstance(node, ast.Attribute) and node.attr == "broker_config"), path
