"""Publishing: in order, and each message confirmed by all replicas in sync."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from image_moderation.brokers.calls import TIMEOUT, chunks
from image_moderation.brokers.kafka.messages import offset_of
from image_moderation.brokers.kafka.topology import about
from image_moderation.domain.message import Outgoing
from image_moderation.events.binary import CONTENT_TYPE, STRUCTURED

CONFIRMED_WITHIN = 3_500
"""Milliseconds; `/readyz` must say within 5 s that too few copies are in step."""
CHUNK = 1_000
"""Messages that wait for their confirmation together; the client's queue has room for so many of any size."""


class KafkaPublisher:
    """See `transport.Publisher`. The producer is idempotent: its own retries make no repeats."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        """`settings` are those of `connection.client_settings`. Nothing is connected before the first use."""
        self._settings = {
            **settings,
            "acks": "all",
            "enable.idempotence": True,
            "message.timeout.ms": CONFIRMED_WITHIN,
            "linger.ms": 0,
        }
        self._producer: Producer | None = None
        # One at a time: each waits by serving the callbacks of all.
        self._turn = asyncio.Lock()

    async def publish(self, messages: Sequence[Outgoing]) -> list[str | None]:
        return await self._publish([_record(message) for message in messages])

    async def publish_tombstones(self, channel: str, keys: Sequence[str]) -> None:
        """Publish records without a value: compaction then removes all earlier ones of their keys."""
        await self._publish([{"topic": channel, "key": key} for key in keys])

    async def _publish(self, records: Sequence[dict[str, Any]]) -> list[str | None]:
        positions: list[str | None] = []
        async with self._turn:
            for chunk in chunks(records, CHUNK):
                positions += await asyncio.to_thread(self._confirm, chunk)
        return positions

    def _confirm(self, records: Sequence[dict[str, Any]]) -> list[str]:
        if self._producer is None:
            self._producer = Producer(self._settings)
        producer = self._producer
        positions = [""] * len(records)
        failures: list[KafkaException] = []

        def confirmed(at: int, error: KafkaError | None, message: Message) -> None:
            if error is None:
                positions[at] = f"{message.partition()}:{offset_of(message)}"
            else:
                failures.append(about(records[at]["topic"], error))

        try:
            for at, record in enumerate(records):
                producer.produce(**record, on_delivery=partial(confirmed, at))
        except KafkaException as error:
            failures.append(error)
        left = 0
        try:
            left = producer.flush(TIMEOUT + 1)
        except (KafkaException, SystemError) as error:
            failures.insert(0, _fatal(error))
        if any(failure.args[0].fatal() for failure in failures):
            self._producer = None  # this one publishes nothing any more
        if failures:
            raise failures[0]
        if left:
            raise TimeoutError
        return positions


def _fatal(error: KafkaException | SystemError) -> KafkaException:
    """Return the client's fatal error. It raises one amid its callbacks: the next callback may then
    overlook it, and end in a SystemError that has it as its cause.
    """
    cause = error if isinstance(error, KafkaException) else error.__cause__
    if isinstance(cause, KafkaException):
        return cause
    raise error


def _record(message: Outgoing) -> dict[str, Any]:
    headers = dict(message.headers)
    # What this service makes is an event in structured mode; what is sent on stays what it was.
    if message.event_id:
        headers.setdefault(CONTENT_TYPE, STRUCTURED)
    return {
        "topic": message.channel,
        "value": message.body,
        "key": message.key or None,
        "headers": [(name, value.encode()) for name, value in headers.items()],
    }
