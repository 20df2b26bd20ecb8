"""Server-sent events that end well when the site does.

Imports anyio (which starlette is built on), sse-starlette and the standard library.
"""

import asyncio
from collections.abc import AsyncIterator

import anyio
from sse_starlette import EventSourceResponse, ServerSentEvent

_SEND_TIMEOUT = 10  # seconds until a reader that takes nothing is given up; it may come back
_GRACE = 2  # seconds to end in, within what uvicorn allows


def stream(events: AsyncIterator[ServerSentEvent]) -> EventSourceResponse:
    closing = anyio.Event()
    return EventSourceResponse(
        _until(closing, events),
        send_timeout=_SEND_TIMEOUT,
        shutdown_event=closing,
        shutdown_grace_period=_GRACE,
    )


async def _until(
    closing: anyio.Event, events: AsyncIterator[ServerSentEvent]
) -> AsyncIterator[ServerSentEvent]:
    """Those events, until the site closes: a stream that is cut off instead is an error in uvicorn's log."""
    closed, event = asyncio.ensure_future(closing.wait()), asyncio.ensure_future(anext(events))
    try:
        while True:
            await asyncio.wait({closed, event}, return_when=asyncio.FIRST_COMPLETED)
            if closed.done():
                return
            yield event.result()
            event = asyncio.ensure_future(anext(events))
    finally:
        # Ends the generator, too, wherever it waits.
        closed.cancel()
        event.cancel()
