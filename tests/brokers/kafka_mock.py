"""A Kafka cluster in a process of its own: librdkafka's mock, which speaks the real protocol on loopback.

`python -m tests.brokers.kafka_mock` prints its address, and ends with its standard input. Everything in it
goes with it; it keeps about 5 MB of a partition, and makes topics of four partitions when they are asked for.
"""

import sys

from confluent_kafka import Producer


def main() -> None:
    producer = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "in-memory"})
    (broker,) = producer.list_topics(timeout=10).brokers.values()
    print(f"{broker.host}:{broker.port}", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
