"""What reads one channel: FastStream's subscriber, the batches it fills, and what is seen of its state."""

from dataclasses import dataclass
from typing import Any

from aio_pika.message import IncomingMessage
from faststream.rabbit import Channel

from image_moderation.brokers.micro_batches import MicroBatches


@dataclass(slots=True, eq=False)
class Reader:
    """One subscriber. Errors are aio-pika's."""

    channel: str
    subscriber: Any
    batches: MicroBatches[IncomingMessage]
    idle: int = 0
    """How often in a row it had nothing to do while messages waited."""
    lost: bool = False
    """Whether the last look found it without a consumer. Once is no reason to restart it: after a lost
    connection the client itself is at it.
    """
    cancelled: bool = False
    """Whether its queue was deleted."""

    async def subscribed(self) -> bool:
        """Whether it runs, and the client holds it for one of the server's consumers. From then on it hears
        of a deleted queue.
        """
        queue = self.subscriber._queue_obj  # noqa: SLF001 - FastStream has no public name for it
        if queue is None or not self.subscriber.running:
            return False
        channel: Any = await queue.channel.get_underlay_channel()
        channel.on_consumer_cancel_callbacks.add(self._note_cancel)
        return self.subscriber._consumer_tag in channel.consumers  # noqa: SLF001 - likewise

    def _note_cancel(self, frame: object) -> None:  # noqa: ARG002 - given by the client
        self.cancelled = True

    async def restart(self, prefetch: int) -> None:
        """Read on a new channel: to the server the old one goes on with the queue that it knew, and what a
        new queue of the same name gives is lost on it.
        """
        queue = self.subscriber._queue_obj  # noqa: SLF001 - as above
        await self.subscriber.stop()
        self.subscriber._outer_config.declarer.disconnect()  # noqa: SLF001 - it remembers queues by channel
        self.subscriber.channel = Channel(prefetch_count=prefetch)
        await self.subscriber.start()
        self.idle, self.lost, self.cancelled = 0, False, False
        if queue is not None and not queue.channel.is_closed:
            await queue.channel.close()
