"""Server-sent events that end cleanly when the site stops.

Imports anyio (which starlette is built on), sse-starlette and the standard library.
"""

import asyncio
from collections.abc import AsyncIterator

import anyio
from sse_starlette import EventSourceResponse, ServerSentEvent

_SEND_TIMEOUT = 10  # seconds until a reader that reads nothing is disconnected; it can reconnect
_CLOSE_TIMEOUT = 2  # seconds to end, less than uvicorn's shutdown timeout


def stream(events: AsyncIterator[ServerSentEvent]) -> EventSourceResponse:
    closing = anyio.Event()
    return EventSourceResponse(
        _until(closing, events),
        send_timeout=_SEND_TIMEOUT,
        shutdown_event=closing,
        shutdown_grace_period=_CLOSE_TIMEOUT,
    )


async def _until(
    closing: anyio.Event, events: AsyncIterator[ServerSentEvent]
) -> AsyncIterator[ServerSentEvent]:
    """Give the events until the site closes: uvicorn would log an error for a stream that is cut off."""
    closed, event = asyncio.ensure_future(closing.wait()), asyncio.ensure_future(anext(events))
    try:
        while True:
            await asyncio.wait({closed, event}, return_when=asyncio.FIRST_COMPLETED)
            if closed.done():
                return
            yield event.result()
            event = asyncio.ensure_future(anext(events))
    finally:
        # This also ends the generator, wherever it waits.
        closed.cancel()
        event.cancel()
