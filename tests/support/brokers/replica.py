"""Replicas of the service's transport on a real broker, and the messages that tests send through them."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from image_moderation.brokers.port import Options, Transport
from image_moderation.brokers.registry import broker_for
from image_moderation.domain.decision import OutboxEntry, Publication
from image_moderation.domain.errors import BrokerUnavailable
from image_moderation.domain.message import DeadLetter, DeadLetterReason, Outgoing, RawMessage
from image_moderation.wiring import clock
from tests.support.brokers import reader
from tests.support.brokers.harness import Harness
from tests.support.decisions import DECISION
from tests.support.waiting import wait_until_async

REPORTED, REVIEWED, BLOCKED = "image.reported", "image.reviewed", "image.blocked"
GROUP = "image-moderation"
BATCH = 100
TIMEOUT = 40.0
"""Seconds that a redelivery or a new start may take: Kafka's group must first miss the dead member."""


class Replica:
    """A transport whose handler keeps what it was given, and acks it while `gate` is open."""

    def __init__(self, harness: Harness, name: str, **options: Any) -> None:
        self.received: list[RawMessage] = []
        self.batches: list[Sequence[RawMessage]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.transport: Transport = broker_for(harness.url).make_transport(
            Options(
                url=harness.url,
                group=GROUP,
                consumer=name,
                batch_size=BATCH,
                clock=clock,
                dead_letter_retention=86_400_000,
                redeliver_after=reader.REDELIVER_AFTER,
                **options,
            )
        )

    async def handle(self, messages: Sequence[RawMessage]) -> None:
        self.batches.append(messages)
        self.received += messages
        await self.gate.wait()
        await self.transport.ack(messages)

    async def start(self) -> None:
        await again(lambda: self.transport.start(self.handle))

    def bodies(self) -> list[bytes]:
        return [message.body for message in self.received]


async def again(call: Callable[[], Awaitable[None]]) -> None:
    """Calls until the broker can do it, as the service does."""
    async with asyncio.timeout(TIMEOUT):
        while True:
            try:
                await call()
            except BrokerUnavailable:
                await asyncio.sleep(0.2)
            else:
                return


class World:
    """The replicas of one test on one broker."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        self.replicas: list[Replica] = []

    async def replica(self, *, gate: bool = True, start: bool = True, **options: Any) -> Replica:
        """Make one; `options` are further ones of `port.Options`."""
        replica = Replica(self.harness, f"host-{len(self.replicas)}", **options)
        self.replicas.append(replica)
        if not gate:
            replica.gate.clear()
        if start:
            await replica.start()
        return replica

    async def nothing_waits(self, channel: str = REPORTED) -> None:
        await wait_until_async(
            lambda: self.harness.waiting(channel) == 0, f"nothing waits on {channel}", TIMEOUT
        )


def numbered(count: int, prefix: str = "m") -> list[bytes]:
    return [b"%s-%d" % (prefix.encode(), number) for number in range(count)]


async def received(replica: Replica, count: int) -> None:
    await wait_until_async(lambda: len(replica.received) >= count, f"{count} messages arrive", TIMEOUT)


def publications(*images: str) -> list[Publication]:
    made = []
    for image in images:
        decision = replace(DECISION, image_id=image, decided_at=clock())
        body = json.dumps({"data": {"image_id": image}}).encode()
        made.append(Publication(OutboxEntry(decision, b""), Outgoing(BLOCKED, body, f"id-{image}", image)))
    return made


def dead_letters(count: int) -> list[DeadLetter]:
    return [
        DeadLetter(
            RawMessage(REPORTED, f"place-{n}", b"\xff%d" % n, headers={"x-n": str(n)}),
            DeadLetterReason.NOT_UTF8,
            "no",
        )
        for n in range(count)
    ]
