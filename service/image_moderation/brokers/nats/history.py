"""What the stream still holds, read by ordered consumers, which are this process's own and need no acks."""

from collections.abc import AsyncIterator, Sequence

from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError

from image_moderation.brokers.calls import TIMEOUT
from image_moderation.brokers.history import merged
from image_moderation.brokers.nats.connection import errors
from image_moderation.brokers.nats.messages import raw_message
from image_moderation.brokers.nats.topology import STREAM, Stream
from image_moderation.domain.errors import BrokerUnavailable
from image_moderation.domain.message import RawMessage


def history(stream: Stream, channels: Sequence[str]) -> AsyncIterator[RawMessage]:
    """See `port.BrokerClient`."""
    return merged([_messages(stream, channel) for channel in channels])


async def _messages(stream: Stream, channel: str) -> AsyncIterator[RawMessage]:
    with errors():
        await stream.ensure()
        jetstream = stream.jetstream
        last = await _last(jetstream, channel)
    if not last:
        return
    with errors():
        subscription = await jetstream.subscribe(
            channel,
            stream=STREAM,
            ordered_consumer=True,
            config=ConsumerConfig(deliver_policy=DeliverPolicy.ALL),
        )
    try:
        position = 0
        while position < last:
            with errors():
                message = await _next(subscription)
                if message is None and await _last(jetstream, channel) <= position:
                    return  # the service removes what every group has acked
            if message is None:
                raise BrokerUnavailable("the server gives no messages, though it has some")
            position = message.metadata.sequence.stream
            yield raw_message(message)
    finally:
        with errors():
            await subscription.unsubscribe()


async def _next(subscription: JetStreamContext.PushSubscription) -> Msg | None:
    """Return the next message, None if none comes in time."""
    try:
        return await subscription.next_msg(timeout=TIMEOUT)
    except TimeoutError:
        return None


async def _last(jetstream: JetStreamContext, channel: str) -> int:
    """Return the sequence number of a channel's last message, 0 without one."""
    try:
        return (await jetstream.get_last_msg(STREAM, channel)).seq or 0
    except NotFoundError:
        return 0
