"""Joins what several channels or partitions hold to one history, in the order of arrival."""

import heapq
from collections.abc import AsyncIterator, Sequence

from image_moderation.domain.message import RawMessage


async def merged(streams: Sequence[AsyncIterator[RawMessage]]) -> AsyncIterator[RawMessage]:
    """Give the messages of all streams, each of which is in the order of arrival."""
    heads: list[tuple[int, int, RawMessage]] = []

    async def advance(number: int) -> None:
        if (message := await anext(streams[number], None)) is not None:
            heapq.heappush(heads, (message.arrived or 0, number, message))

    for number in range(len(streams)):
        await advance(number)
    while heads:
        _, number, message = heapq.heappop(heads)
        yield message
        await advance(number)
