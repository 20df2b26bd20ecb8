"""A Kafka cluster of one broker in a process of its own: `python -m tests.support.brokers.kafka.mock`.

Prints the bootstrap address, and ends with its standard input, so with its parent. It is librdkafka's mock:
the real protocol on a real port, everything in memory, about 40,000 records a partition;
a topic comes to be when it is asked for, with four partitions.
"""

import sys
from typing import Any

from confluent_kafka import Producer


def main() -> None:
    """Serve until nobody holds the other end of standard input."""
    settings: dict[str, Any] = {
        "bootstrap.servers": "mock",
        "test.mock.num.brokers": 1,
    }
    cluster = Producer(settings, logger=None)
    brokers: Any = cluster.list_topics(timeout=10).brokers
    broker = next(iter(brokers.values()))
    print(f"{broker.host}:{broker.port}", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
