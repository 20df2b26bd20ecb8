"""The topics: made where they are missing, and how far each partition reaches. All calls block."""

from collections.abc import Iterable

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # exported without saying so
    AdminClient,
    NewTopic,
    OffsetSpec,
)

from image_moderation.brokers.calls import TIMEOUT
from image_moderation.domain.errors import BrokerUnavailable
from image_moderation.events.models import DEAD_LETTER_CHANNEL

Place = tuple[str, int]
"""A topic and one of its partitions."""


def ensure(admin: AdminClient, names: Iterable[str], dead_letters_kept: int | None = None) -> None:
    """Make the topics that are missing, as the cluster makes topics by default.

    The topic of dead letters has one partition, so that they keep their order, and is compacted, which is
    how single ones are removed; `dead_letters_kept` is for how many milliseconds.

    Raises:
        BrokerUnavailable: the operator must make one.
        KafkaException: the cluster does not answer.
    """
    missing = [name for name in names if _is_missing(admin, name)]
    if not missing:
        return
    wanted = [_new(name, dead_letters_kept) for name in missing]
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
        raise KafkaException(error)
    return error is not None


def _new(name: str, dead_letters_kept: int | None) -> NewTopic:
    if name != DEAD_LETTER_CHANNEL:
        return NewTopic(name)
    config = {"cleanup.policy": "compact"}
    if dead_letters_kept is not None:
        config = {"cleanup.policy": "compact,delete", "retention.ms": str(dead_letters_kept)}
    return NewTopic(name, num_partitions=1, config=config)


def places(admin: AdminClient, names: Iterable[str]) -> list[Place]:
    """Return every partition of the topics.

    Raises:
        KafkaException: the cluster does not answer, or has no such topic.
    """
    found: list[Place] = []
    for name in names:
        topic = admin.list_topics(name, timeout=TIMEOUT).topics[name]
        if topic.error is not None:
            raise KafkaException(topic.error)
        found += [(name, partition) for partition in sorted(topic.partitions)]
    return found


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
    answers = admin.list_offsets(asked, request_timeout=TIMEOUT)
    found = {(one.topic, one.partition): answer.result(TIMEOUT + 1).offset for one, answer in answers.items()}
    if min(found.values()) < 0:
        # Where a leader doesn't answer, the client gives an offset that is not valid instead of an error.
        raise TimeoutError("the leader of a partition does not answer")
    return found
