"""Kafka: reports and verdicts arrive on topics through a consumer group, decisions leave on topics."""

import asyncio
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from faststream import AckPolicy

from image_moderation.brokers.kafka.connection import Admin, client_settings, errors, make_broker
from image_moderation.brokers.kafka.messages import decode_batch
from image_moderation.brokers.kafka.publisher import KafkaPublisher
from image_moderation.brokers.kafka.reader import KafkaReader
from image_moderation.brokers.kafka.topology import Kept, end_offsets, ensure
from image_moderation.brokers.port import INCOMING, Figures, Options
from image_moderation.brokers.reader import parse_batch
from image_moderation.brokers.transport import BaseTransport
from image_moderation.domain.message import RawMessage
from image_moderation.events.models import CHANNELS


class KafkaTransport(BaseTransport):
    """The transport over Kafka. One member of the group reads both topics."""

    def __init__(self, options: Options) -> None:
        """Nothing is connected before `start`.

        Raises:
            Misconfigured: the URL asks for something unknown.
        """
        self._settings = client_settings(options.url)
        self.broker = make_broker(options)
        subscriber: Any = self.broker.subscriber(
            *INCOMING,
            group_id=options.group,
            batch=True,
            max_records=options.batch_size,
            ack_policy=AckPolicy.MANUAL,
            parser=parse_batch,
            decoder=decode_batch,
        )
        self._reader = KafkaReader(subscriber, options)
        self.publisher = KafkaPublisher(self._settings)
        super().__init__(options, [self._reader], errors)

    @cached_property
    def _admin(self) -> Admin:
        return Admin(self._settings)

    async def connect(self) -> None:
        # FastStream processes nothing before it has connected. Its own clients are not used: they are closed.
        await self.broker.connect()
        await self.broker.stop()

    async def ensure(self) -> None:
        """See `BaseTransport`. No error shows that a topic was deleted, so each is looked up."""
        kept = Kept(self.options.dead_letter_retention, self.options.dead_letter_max_bytes)
        await asyncio.to_thread(ensure, self._admin, CHANNELS, kept)

    async def ack(self, messages: Sequence[RawMessage]) -> None:
        """See `intake.ports.Source`. Committed with the next poll, at most a tenth of a second later.

        A partition that is no longer this process's has given its messages to another already.
        """
        for message in messages:
            offsets, offset = message.handle
            offsets.finish(offset)

    async def figures(self) -> Figures:
        """See `port.Transport`. Of this process's partitions: the sum over all replicas is the group's."""
        partitions = self._reader.partitions
        with errors():
            if not partitions:  # it is also the check that the cluster answers
                await self.ensure()
            ends = await asyncio.to_thread(end_offsets, self._admin, partitions)
        lag = sum(max(0, ends[place] - one.next) for place, one in partitions.items() if one.next is not None)
        unfinished = [arrived for one in partitions.values() for arrived in list(one.unfinished.values())]
        oldest = min((arrived for arrived in unfinished if arrived is not None), default=None)
        age = 0.0 if oldest is None else max(0.0, (self.options.clock() - oldest) / 1000)
        return Figures(lag, len(unfinished), age)

    async def leave(self) -> None:
        await self._reader.leave()

    async def close(self) -> None:
        """See `BaseTransport`. Other members wait for the session's end where one does not leave."""
        await self._reader.leave()
