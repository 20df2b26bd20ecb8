"""Publishing: in order, and each message confirmed by all replicas in sync."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from image_moderation.domain.message import Outgoing

AT_ONCE = 10_000
"""Messages that may wait for their confirmation together; the client's queue holds ten times as many."""
TIMEOUT = 5_000
"""Milliseconds after which a message that is not confirmed has failed."""
CONTENT_TYPE, STRUCTURED = "content-type", "application/cloudevents+json"


class Publisher:
    """A producer that makes no repeats of its own (idempotent), connected when first used."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        """`settings` are those of `connection.client_settings`."""
        self._settings = {
            **settings,
            "acks": "all",
            "enable.idempotence": True,
            "message.timeout.ms": TIMEOUT,
            "linger.ms": 0,
        }
        self._producer: Producer | None = None
        # One at a time, for each waits by serving the client's callbacks.
        self._lock = asyncio.Lock()

    async def publish(self, messages: Sequence[Outgoing], *, tombstones: bool = False) -> list[str]:
        """Return each one's position. With `tombstones` the bodies are null.

        Raises:
            KafkaException: some may be published, and some not.
        """
        positions: list[str] = []
        async with self._lock:
            for first in range(0, len(messages), AT_ONCE):
                some = messages[first : first + AT_ONCE]
                positions += await asyncio.to_thread(self._publish, some, tombstones)
        return positions

    def _publish(self, messages: Sequence[Outgoing], tombstones: bool) -> list[str]:
        if self._producer is None:
            self._producer = Producer(self._settings)
        producer = self._producer
        positions: list[str] = [""] * len(messages)
        failures: list[KafkaError] = []
        left = len(messages)

        def confirmed(at: int, error: KafkaError | None, message: Message) -> None:
            nonlocal left
            left -= 1
            if error is None:
                positions[at] = f"{message.partition()}:{message.offset()}"
            else:
                failures.append(error)

        try:
            for at, message in enumerate(messages):
                producer.produce(
                    message.channel,
                    None if tombstones else message.body,
                    message.key.encode() if message.key else None,
                    headers=None if tombstones else _headers(message),
                    on_delivery=partial(confirmed, at),
                )
            deadline = time.monotonic() + TIMEOUT / 1000 + 1
            while left and time.monotonic() < deadline:
                producer.poll(0.1)
        except KafkaException as error:
            failures.append(error.args[0])
        if any(failure.fatal() for failure in failures):
            self._producer = None  # this one is of no use any more
        if failures:
            raise KafkaException(failures[0])
        if left:
            raise TimeoutError
        return positions


def _headers(message: Outgoing) -> list[tuple[str, str | bytes | None]]:
    headers = dict(message.headers)
    # What this service makes is an event in structured mode; what is sent on stays what it was.
    if message.event_id:
        headers.setdefault(CONTENT_TYPE, STRUCTURED)
    return [(name, value.encode()) for name, value in headers.items()]
