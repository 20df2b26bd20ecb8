"""How messages are pulled from a durable: what is there, or the first that comes, and nothing ahead of time.

FastStream's own reader waits for a batch to fill up, and leaves what comes too late in the client, where
nobody tells the server that it is still wanted. This one asks once a batch and reads up to the server's end.
"""

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from faststream.message import StreamMessage
from faststream.nats.subscriber.usecases import BatchPullStreamSubscriber
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error

from image_moderation.domain.message import NO_HEADERS, RawMessage

POLL = 1.0
"""Most seconds that a request may wait at the server for a first message."""
GRACE = 1.0
"""Seconds beyond, in which the server's own answer that there is none should have come."""
MOST_BYTES = 96 * 1024 * 1024
"""Of one batch: more than a server takes as one message, less than the client keeps before it drops some."""
PAUSE = 0.01
"""Seconds before asking again where there was nothing."""
BREATH = 0.5
"""The same where there is nobody to ask."""


class Reader(BatchPullStreamSubscriber):
    """A FastStream subscriber with another way to pull. `refused` says why it gets nothing, "" if it may."""

    __slots__ = ()

    refused: str
    _inbox: str
    _asked: int
    _came: list[Msg]
    _ended: asyncio.Event

    async def _create_subscription(self) -> None:
        if self.subscription:
            return
        self.refused, self._asked, self._came, self._ended = "", 0, [], asyncio.Event()
        self._inbox = self.connection.new_inbox()
        subscription: Any = await self.connection.subscribe(f"{self._inbox}.*", cb=self._take)
        self.subscription = subscription
        self.add_task(self._consume_pull)

    async def _take(self, message: Msg) -> None:
        if message.reply:
            self._came.append(message)
            if len(self._came) >= self.pull_sub.batch_size:
                self._ended.set()
        elif message.subject == f"{self._inbox}.{self._asked}":
            # No message but a status: the end of what was asked for. 404 and 408 say that there is no more.
            headers = message.headers or {}
            status = headers.get("Status", "")
            fine = bool(self._came) or status in {"404", "408"}
            self.refused = "" if fine else f"{status} {headers.get('Description', '')}".strip()
            self._ended.set()

    async def _consume_pull(self) -> None:
        while self.running:
            try:
                messages = await self._next()
            except asyncio.CancelledError:
                await give_back(self._came)
                raise
            except Error:
                await asyncio.sleep(BREATH)  # the watchdog says what is wrong
                continue
            if messages and self.running:
                await self.consume(messages)
            elif messages:
                await give_back(messages)
            else:
                await asyncio.sleep(BREATH if self.refused else PAUSE)

    async def _next(self) -> list[Msg]:
        client: Client = self.connection
        wait = self.pull_sub.timeout or POLL
        size = self.pull_sub.batch_size
        # What an answer that was given up has brought after all goes first.
        if not self._came:
            if not client.is_connected:
                await asyncio.sleep(BREATH)
                return []
            self._ended.clear()
            self._asked += 1
            request = {
                "batch": size,
                "max_bytes": MOST_BYTES,
                "expires": int(wait * 1_000_000_000),
                "no_wait": True,  # with `expires`: wait for the first message, but for no further one
            }
            durable = self.extra_options["durable"]
            await client.publish(
                f"$JS.API.CONSUMER.MSG.NEXT.{self.stream.name}.{durable}",
                json.dumps(request).encode(),
                reply=f"{self._inbox}.{self._asked}",
            )
            with suppress(TimeoutError):
                async with asyncio.timeout(wait + GRACE):
                    await self._ended.wait()
        messages = self._came[:size]
        del self._came[:size]
        return messages


async def as_read(messages: list[Msg]) -> StreamMessage[Any]:
    """FastStream's parser, in place of its own: nothing is looked into."""
    return StreamMessage(raw_message=messages, body=b"")


async def as_raw_messages(message: StreamMessage[Any]) -> list[RawMessage]:
    """FastStream's decoder: messages as they came."""
    return [raw_message(one) for one in message.raw_message]


def raw_message(message: Msg) -> RawMessage:
    """What stands in the subject to answer to: `$JS.ACK.stream.durable.deliveries.sequence.number.time.left`,
    with a domain and an account in front of the stream on newer servers.
    """
    parts = message.reply.split(".")
    at = 4 if len(parts) == 9 else 6
    headers = NO_HEADERS if message.headers is None else dict(message.headers)
    return RawMessage(
        message.subject,
        parts[at + 1],
        message.data,
        int(parts[at + 3]) // 1_000_000,
        int(parts[at]),
        headers,
        message.reply,
    )


async def give_back(messages: Sequence[Msg]) -> None:
    """Let the server deliver at once what was pulled and not begun."""
    with suppress(Error):
        for message in messages:
            await message.nak()
