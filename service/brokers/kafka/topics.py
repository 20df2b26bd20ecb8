"""The cluster's topics and the group's offsets, seen through one administrative connection."""

from collections.abc import Sequence
from typing import Any

import structlog
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError
from aiokafka.structs import OffsetAndMetadata

from service.brokers.kafka.connection import within
from service.domain.errors import BrokerUnavailable
from service.events.models import (
    BLOCKED_CHANNEL,
    DEAD_LETTER_CHANNEL,
    REPORTED_CHANNEL,
    REVIEW_CHANNEL,
    REVIEWED_CHANNEL,
    UNBLOCKED_CHANNEL,
)

TOPICS = (
    REPORTED_CHANNEL,
    REVIEWED_CHANNEL,
    BLOCKED_CHANNEL,
    UNBLOCKED_CHANNEL,
    REVIEW_CHANNEL,
    DEAD_LETTER_CHANNEL,
)
SUFFIXES = {REPORTED_CHANNEL: "", REVIEWED_CHANNEL: "-reviewed"}
"""What makes a consumer group's name of the configured one, for each topic that is read: members of one group
that read different topics would wait for each other at every change."""
UNKNOWN_TOPIC = 3
AS_THE_CLUSTER_SAYS = -1

log = structlog.get_logger(__name__)


class Topics:
    """One connection, made when first used. Errors are aiokafka's."""

    def __init__(self, options: dict[str, Any]) -> None:
        """`options` are those of `connection.connection_options`."""
        self._options = options
        self._admin: AIOKafkaAdminClient | None = None

    async def ensure(self) -> None:
        """Make the topics that are missing, with the cluster's defaults.

        Raises:
            BrokerUnavailable: one is missing, and the cluster lets only its operator make it.
        """
        missing = [
            topic["topic"] for topic in await self._describe(TOPICS) if topic["error_code"] == UNKNOWN_TOPIC
        ]
        if not missing:
            return
        admin = await self._connected()
        try:
            answer = await within(
                admin.create_topics(
                    [NewTopic(name, AS_THE_CLUSTER_SAYS, AS_THE_CLUSTER_SAYS) for name in missing]
                )
            )
        except TopicAlreadyExistsError:
            return
        refused = [f"{name} ({why or code})" for name, code, why, *_ in answer.topic_errors if code]
        if refused:
            raise BrokerUnavailable(f"topics are missing and can't be made: {', '.join(refused)}")
        log.info("topics_created", topics=missing)

    async def partitions(self, *topics: str) -> list[TopicPartition]:
        """Every partition of these topics."""
        return [
            TopicPartition(topic["topic"], partition["partition"])
            for topic in await self._describe(topics)
            for partition in topic["partitions"]
        ]

    async def committed(
        self, group: str, partitions: Sequence[TopicPartition]
    ) -> dict[TopicPartition, OffsetAndMetadata]:
        """What a group has committed, of those of the partitions that it has committed anything of."""
        admin = await self._connected()
        offsets = await within(admin.list_consumer_group_offsets(group, partitions=list(partitions)))
        return {partition: found for partition, found in offsets.items() if found.offset >= 0}

    async def close(self) -> None:
        """Close the connection; it is made anew when used again."""
        if self._admin is not None:
            admin, self._admin = self._admin, None
            await admin.close()

    async def _connected(self) -> AIOKafkaAdminClient:
        if self._admin is None:
            admin = AIOKafkaAdminClient(**self._options)
            try:
                await within(admin.start())
            except BaseException:
                await admin.close()
                raise
            self._admin = admin
        return self._admin

    async def _describe(self, topics: Sequence[str]) -> list[Any]:
        admin = await self._connected()
        return await within(admin.describe_topics(list(topics)))
