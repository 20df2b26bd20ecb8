"""The topics: made where they are missing, and how far each partition reaches. All calls block."""

from collections.abc import Callable, Iterable
from time import monotonic, sleep
from typing import NamedTuple, TypeVar

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # exported without saying so
    AdminClient,
    NewTopic,
    OffsetSpec,
)

from image_moderation.domain.errors import BrokerUnavailable
from image_moderation.events.models import DEAD_LETTER_CHANNEL

Place = tuple[str, int]
"""A topic and one of its partitions."""
SMALLEST_SEGMENT, LARGEST_SEGMENT = 1024 * 1024, 1024**3
"""Bytes of a segment of the topic of dead letters; the greatest is Kafka's default."""

TIMEOUT = 3.0
"""Seconds that the cluster may take to answer a question: `/readyz` is to be true 5 s after a node died."""
MOVING = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
    }
)
"""What brokers answer while a topic is new, or the leader of a partition changes."""
SETTLING = 2.0
"""Seconds that such a change may take."""
ASK_AGAIN = 0.05
"""Seconds."""

T = TypeVar("T")


class Kept(NamedTuple):
    """How much a topic of dead letters keeps; None is without a limit."""

    milliseconds: int | None = None
    max_bytes: int | None = None

    @property
    def config(self) -> dict[str, str]:
        """The topic's configuration: compacted, which is how single dead letters are removed."""
        limits: dict[str, str] = {}
        if self.milliseconds is not None:
            limits["retention.ms"] = str(self.milliseconds)
        if self.max_bytes is not None:
            limits["retention.bytes"] = str(self.max_bytes)
            # Only whole segments are deleted, and never the one that is written to.
            limits["segment.bytes"] = str(max(SMALLEST_SEGMENT, min(LARGEST_SEGMENT, self.max_bytes // 4)))
        return {"cleanup.policy": "compact,delete" if limits else "compact", **limits}


KEPT_FOR_EVER = Kept()


def ensure(admin: AdminClient, names: Iterable[str], dead_letters: Kept = KEPT_FOR_EVER) -> None:
    """Make the topics that are missing, as the cluster makes topics by default.

    The topic of dead letters has one partition, so that they keep their order. One that is there stays as it
    is.

    Raises:
        BrokerUnavailable: the operator must make one.
        KafkaException: the cluster does not answer.
    """
    missing = [name for name in names if _is_missing(admin, name)]
    if not missing:
        return
    wanted = [_new(name, dead_letters) for name in missing]
    for name, made in admin.create_topics(wanted, request_timeout=TIMEOUT).items():
        try:
            made.result(TIMEOUT + 1)
        except KafkaException as error:
            code = error.args[0].code()
            if code == KafkaError.TOPIC_ALREADY_EXISTS:
                continue
            raise BrokerUnavailable(
                f"the topic {name} is missing and could not be made: {error.args[0].str()}"
            ) from error


def _is_missing(admin: AdminClient, name: str) -> bool:
    # Asked one by one: a large cluster has thousands that are none of this service's business.
    error = admin.list_topics(name, timeout=TIMEOUT).topics[name].error
    if error is not None and error.code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
        raise about(name, error)
    return error is not None


def about(name: str, error: KafkaError) -> KafkaException:
    """Return an error to raise that names its topic, which the cluster's answer does not."""
    return KafkaException(KafkaError(error.code(), f"{error.str()}: {name}", error.fatal()))


def _new(name: str, dead_letters: Kept) -> NewTopic:
    if name != DEAD_LETTER_CHANNEL:
        return NewTopic(name)
    return NewTopic(name, num_partitions=1, config=dead_letters.config)


def places(admin: AdminClient, names: Iterable[str]) -> list[Place]:
    """Return every partition of the topics.

    Raises:
        KafkaException: the cluster does not answer, or has no such topic.
    """
    return [place for name in names for place in _settled(lambda: _partitions(admin, name))]  # noqa: B023 - called here


def _partitions(admin: AdminClient, name: str) -> list[Place]:
    topic = admin.list_topics(name, timeout=TIMEOUT).topics[name]
    if topic.error is not None:
        raise about(name, topic.error)
    return [(name, partition) for partition in sorted(topic.partitions)]


def _settled(call: Callable[[], T]) -> T:
    """Call again while the answer is one of `MOVING`, for as long as such a change may take."""
    deadline = monotonic() + SETTLING
    while True:
        try:
            return call()
        except KafkaException as error:
            if error.args[0].code() not in MOVING or monotonic() >= deadline:
                raise
            sleep(ASK_AGAIN)


def first_offsets(admin: AdminClient, wanted: Iterable[Place]) -> dict[Place, int]:
    """Return the first offset of each partition. Raises as `end_offsets`."""
    return _offsets(admin, wanted, OffsetSpec.earliest())  # type: ignore[no-untyped-call]


def end_offsets(admin: AdminClient, wanted: Iterable[Place]) -> dict[Place, int]:
    """Return the offset after the last one of each partition.

    Raises:
        KafkaException: the cluster does not answer.
        TimeoutError: the leader of a partition does not.
    """
    return _offsets(admin, wanted, OffsetSpec.latest())  # type: ignore[no-untyped-call]


def _offsets(admin: AdminClient, wanted: Iterable[Place], spec: OffsetSpec) -> dict[Place, int]:
    asked = {TopicPartition(*place): spec for place in wanted}
    if not asked:
        return {}

    def ask() -> dict[Place, int]:
        answers = admin.list_offsets(asked, request_timeout=TIMEOUT).items()
        return {(one.topic, one.partition): answer.result(TIMEOUT + 1).offset for one, answer in answers}

    found = _settled(ask)
    if min(found.values()) < 0:
        # Where a leader doesn't answer, the client gives an offset that is not valid instead of an error.
        raise TimeoutError("the leader of a partition does not answer")
    return found
