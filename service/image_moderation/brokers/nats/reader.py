"""Pulling messages from a durable: those that are there, or the first that comes, and none ahead of time.

A lane sends one request for each batch, and reads until the server's status message ends it. A lane that ends
gives back what it has pulled and not begun, so that another replica gets it at once.
"""

import asyncio
import json
from contextlib import suppress

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error

from image_moderation.brokers.nats.connection import errors, require_connection
from image_moderation.brokers.nats.topology import STREAM, durable_name
from image_moderation.brokers.port import Options
from image_moderation.brokers.reader import MOST_IN_HAND, Reader, Subscriber
from image_moderation.domain.errors import BrokerUnavailable

POLL = 1.0
"""Most seconds that a request waits at the server for a first message."""
STATUS_TIMEOUT = 1.0
"""Extra seconds to wait for the server's 'no messages' status."""
EMPTY_DELAY = 0.01
"""Seconds before asking again after an answer without messages: a server may give that at once."""
BATCH_BYTES = MOST_IN_HAND // 5
"""Of one batch. Both channels together have four lanes; the rest is for their dead letters."""
NO_MESSAGES = ("404", "408")
"""The statuses that end a request after which there are no more messages."""
ASK_AGAIN = ("Batch Completed", "Leadership Change", "Server Shutdown")
"""Descriptions of a status that ends a request and refuses nothing: another server answers the next one."""


class Inbox:
    """One lane's requests, and the answers to them."""

    subscription: Subscription

    def __init__(self, subject: str, batch_size: int) -> None:
        """Answers come to `<subject>.<number of the request>`."""
        self.subject = subject
        self.messages: list[Msg] = []
        self.refusal = ""
        self.ended = asyncio.Event()
        self._batch_size = batch_size
        self._requests = 0

    def next_request(self) -> str:
        """Begin a request; return the subject for its answer."""
        self._requests += 1
        self.refusal = ""
        self.ended.clear()
        return f"{self.subject}.{self._requests}"

    async def receive(self, message: Msg) -> None:
        """Take a message, or the status that ends the request: it has no subject for an ack."""
        if message.reply:
            self.messages.append(message)
            if len(self.messages) >= self._batch_size:
                self.ended.set()
        elif message.subject == f"{self.subject}.{self._requests}":
            headers = message.headers or {}
            status = headers.get("Status", "")
            description = headers.get("Description", "")
            if not self.messages and status not in NO_MESSAGES and description not in ASK_AGAIN:
                self.refusal = f"{status} {description}".strip()
            self.ended.set()

    async def close(self) -> None:
        """Give back what was pulled and not begun; unsubscribe first, so that it doesn't return here."""
        with suppress(Error):
            await self.subscription.unsubscribe()
            for message in self.messages:
                await message.nak()


class NatsReader(Reader):
    """One channel's durable. Each lane has an inbox of its own."""

    client: Client
    """There is one once the transport has connected."""

    def __init__(self, channel: str, subscriber: Subscriber, options: Options, *, lanes: int) -> None:
        super().__init__(channel, subscriber, lanes=lanes, errors=errors)
        self._batch_size = options.batch_size
        # A dead reader's request must expire before its messages are due again: a server of 2.9 that has only
        # dead readers to give them to loses count of the deliveries.
        self._poll = min(POLL, options.redeliver_after / 4000)
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{durable_name(options.group, channel)}"
        self.inboxes: dict[int, Inbox] = {}

    async def next_batch(self, lane: int) -> list[Msg]:
        """See `Reader`.

        Raises:
            BrokerUnavailable: the server refuses the request.
        """
        require_connection(self.client)
        inbox = self.inboxes.get(lane) or await self._open(lane)
        try:
            if not inbox.messages:  # an answer may come after its request was given up
                await self._ask(inbox)
        except asyncio.CancelledError:
            await self.inboxes.pop(lane).close()
            raise
        messages = inbox.messages[: self._batch_size]
        del inbox.messages[: self._batch_size]
        return messages

    async def _open(self, lane: int) -> Inbox:
        inbox = Inbox(self.client.new_inbox(), self._batch_size)
        inbox.subscription = await self.client.subscribe(f"{inbox.subject}.*", cb=inbox.receive)
        self.inboxes[lane] = inbox
        return inbox

    async def _ask(self, inbox: Inbox) -> None:
        request = {
            "batch": self._batch_size,
            # A server refuses a request that its next message doesn't fit into.
            "max_bytes": max(BATCH_BYTES, 2 * self.client.max_payload),
            "expires": int(self._poll * 1_000_000_000),
            # Together with `expires`: wait for the first message, but for no further one.
            "no_wait": True,
        }
        await self.client.publish(self._next, json.dumps(request).encode(), reply=inbox.next_request())
        with suppress(TimeoutError):
            async with asyncio.timeout(self._poll + STATUS_TIMEOUT):
                await inbox.ended.wait()
        if inbox.refusal:
            raise BrokerUnavailable(f"the server gives no messages: {inbox.refusal}")
        if not inbox.messages:
            await asyncio.sleep(EMPTY_DELAY)

    async def keep_alive(self) -> None:
        """Restart the server's time limit (ack_wait) for everything in hand."""
        for batch in list(self.in_hand.values()):
            for message in batch.messages:
                require_connection(self.client)
                await self.client.publish(message.handle, b"+WPI")
