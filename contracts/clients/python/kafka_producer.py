"""Sends each line of standard input as a report.

KAFKA_BROKERS=localhost:9092 python kafka_producer.py
"""

import os

from confluent_kafka import KafkaException, Producer
from reports import reports


def confirmed(error, message):
    if error is not None:
        raise KafkaException(error)
    print("reported", message.key().decode(), flush=True)


# Without a timeout the client repeats by itself until the brokers have stored it.
producer = Producer(
    {
        "bootstrap.servers": os.environ["KAFKA_BROKERS"],
        "enable.idempotence": True,  # and with it acks=all
        "message.timeout.ms": 0,
    }
)
for image_id, _, body in reports():
    # The key keeps an image's reports on one partition. The service doesn't need it, but works a little less.
    producer.produce("image.reported", body, key=image_id, on_delivery=confirmed)
    producer.flush()
