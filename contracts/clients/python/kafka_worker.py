"""Applies decisions; start several, and they share the work.

KAFKA_BROKERS=localhost:9092 python kafka_worker.py
"""

import os
import sys

from confluent_kafka import Consumer, KafkaException
from decisions import apply

consumer = Consumer(
    {
        "bootstrap.servers": os.environ["KAFKA_BROKERS"],
        "group.id": os.environ.get("GROUP", "gallery"),
        "auto.offset.reset": "earliest",
        "enable.auto.offset.store": False,  # an offset is committed only after `store_offsets`
        "session.timeout.ms": int(os.environ.get("TAKE_OVER_AFTER", "30")) * 1000,
    }
)
consumer.subscribe(["image.blocked", "image.unblocked"])
while True:
    message = consumer.poll(1)
    if message is None:
        continue
    if error := message.error():
        if error.fatal():
            raise KafkaException(error)
        print(f"waiting: {error}", file=sys.stderr)  # the client connects again by itself
        continue
    apply(message.value())
    consumer.store_offsets(message)
