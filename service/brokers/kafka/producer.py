"""Publishing: acknowledged by every replica in sync, and no record twice where a reply was lost."""

import asyncio
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.structs import RecordMetadata

from service.brokers.kafka.connection import PATIENCE, within
from service.domain.message import Outgoing

Record = Outgoing | tuple[str, bytes]
"""A message, or a topic and a key: a tombstone, which removes what has that key."""


class Producer:
    """One producer, made when first used. Errors are aiokafka's."""

    def __init__(self, options: dict[str, Any]) -> None:
        """`options` are those of `connection.connection_options`."""
        self._options = options
        self._producer: AIOKafkaProducer | None = None

    async def publish(self, records: Sequence[Record]) -> list[RecordMetadata]:
        """Publish in order; return where each lies once all are confirmed."""
        producer = await self._connected()
        try:
            async with asyncio.timeout(2 * PATIENCE):
                sent = [await self._send(producer, record) for record in records]
                return list(await asyncio.gather(*sent))
        except BaseException:
            # An idempotent producer is of no use after a fatal error, and which are is its secret.
            await self.close()
            raise

    async def _send(self, producer: AIOKafkaProducer, record: Record) -> Any:
        if not isinstance(record, Outgoing):
            topic, key = record
            return await producer.send(topic, value=None, key=key)
        headers = [(name, value.encode()) for name, value in record.headers.items()]
        return await producer.send(
            record.channel, record.body, key=record.key.encode() or None, headers=headers
        )

    async def close(self) -> None:
        """Close it; it is made anew when used again."""
        if self._producer is not None:
            producer, self._producer = self._producer, None
            await _stop(producer)

    async def _connected(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = AIOKafkaProducer(**self._options, acks="all", enable_idempotence=True)
            try:
                await within(producer.start())
            except BaseException:
                await _stop(producer)
                raise
            self._producer = producer
        return self._producer


async def _stop(producer: AIOKafkaProducer) -> None:
    try:
        async with asyncio.timeout(1):
            await producer.stop()
    except TimeoutError:
        await producer.client.close()
