"""A replica in a process of its own that reads and never acks, to be killed.

`python -m tests.support.brokers.reader URL NAME` prints `[position, deliveries]` as JSON for each message.
"""

import asyncio
import json
import sys
from collections.abc import Sequence

import structlog

from image_moderation.brokers.port import Options
from image_moderation.brokers.registry import broker_for
from image_moderation.domain.errors import BrokerUnavailable
from image_moderation.domain.message import RawMessage
from image_moderation.wiring import clock

REDELIVER_AFTER = 1_000
"""Milliseconds; the tests' own transports use the same."""


async def _hang(messages: Sequence[RawMessage]) -> None:
    for message in messages:
        print(json.dumps([message.position, message.deliveries]), flush=True)
    await asyncio.Event().wait()


async def _read(url: str, name: str) -> None:
    transport = broker_for(url).make_transport(
        Options(
            url=url,
            group="image-moderation",
            consumer=name,
            batch_size=100,
            clock=clock,
            dead_letter_retention=86_400_000,
            redeliver_after=REDELIVER_AFTER,
        )
    )
    await transport.start(_hang)
    while True:
        await asyncio.sleep(0.2)
        try:
            # In a task of its own, for what it hands over hangs as well.
            await asyncio.wait_for(asyncio.shield(transport.reclaim()), 0.5)
        except (BrokerUnavailable, TimeoutError):
            continue


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(_read(*sys.argv[1:]))
