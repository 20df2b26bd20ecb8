"""What the topics still hold: partitions are assigned without a group, and read up to their ends of now.

Each partition is in the order of arrival, so they are joined as one reads several sorted files. A partition of
which enough waits is paused until the others have caught up.
"""

from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence

from confluent_kafka import Consumer, Message, TopicPartition

from image_moderation.brokers.history import merged
from image_moderation.brokers.kafka.connection import errors
from image_moderation.brokers.kafka.messages import offset_of, place_of, raw_message
from image_moderation.brokers.kafka.topology import Place
from image_moderation.domain.errors import BrokerUnavailable
from image_moderation.domain.message import RawMessage

MOST_WAITING = 5_000
"""Records of one partition that wait for the others before it is paused."""
