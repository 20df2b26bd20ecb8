"""The stream that all channels lie in, and this group's durable consumers on it."""

import re
from typing import Any

import structlog
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, ConsumerInfo, DeliverPolicy, RawStreamMsg, StreamConfig
from nats.js.errors import NotFoundError

from service.domain.errors import Misconfigured
from service.events.models import REPORTED_CHANNEL, REVIEWED_CHANNEL

STREAM = "IMAGE_MODERATION"
SUBJECTS = "image.>"
SUFFIXES = {REPORTED_CHANNEL: "", REVIEWED_CHANNEL: "-reviewed"}
"""What makes a durable's name of the group's, for each channel that is read."""

log = structlog.get_logger(__name__)


def durable_name(group: str, channel: str) -> str:
    """The durable of one channel.

    Raises:
        Misconfigured: the group's name can't be one.
    """
    if not re.fullmatch(r"[^.*>/\\\s]+", group):
        raise Misconfigured("MODERATION_CONSUMER_GROUP: a NATS durable takes none of . * > / \\ in its name")
    return group + SUFFIXES[channel]


async def ensure_stream(jetstream: JetStreamContext) -> None:
    """Make the stream if it is missing; one that is there stays as its operator made it."""
    try:
        await jetstream.stream_info(STREAM)
    except NotFoundError:
        await jetstream.add_stream(StreamConfig(name=STREAM, subjects=[SUBJECTS], duplicate_window=120))
        log.info("stream_created", stream=STREAM)


async def ensure_consumer(
    jetstream: JetStreamContext, channel: str, durable: str, *, ack_wait: float, most_pending: int
) -> ConsumerInfo:
    """Return the durable's figures; make it, and the stream, where they are missing.

    A new durable begins with the oldest message: what it has seen before is counted once anyway.
    """
    try:
        info: ConsumerInfo = await jetstream.consumer_info(STREAM, durable)
    except NotFoundError:
        await ensure_stream(jetstream)
    else:
        return info
    config = ConsumerConfig(
        durable_name=durable,
        filter_subject=channel,
        deliver_policy=DeliverPolicy.ALL,
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=ack_wait,
        max_deliver=-1,  # parking what is delivered too often is the intake's part
        max_ack_pending=most_pending,
    )
    info = await jetstream.add_consumer(STREAM, config)
    log.info("durable_created", stream=STREAM, durable=durable)
    return info


async def next_message(jetstream: JetStreamContext, channel: str, sequence: int) -> RawStreamMsg | None:
    """The first message of a channel at or after a sequence number, None if there is none."""
    try:
        return await jetstream.get_msg(STREAM, seq=max(1, sequence), subject=channel, next=True)
    except NotFoundError:
        return None


async def trim(jetstream: JetStreamContext, channel: str) -> None:
    """Purge what every consumer that is given the channel has acked."""
    consumers = await jetstream.consumers_info(STREAM)
    floors = [_floor(consumer) for consumer in consumers if _covers(consumer.config, channel)]
    if floors and min(floors) > 0:
        await jetstream.purge_stream(STREAM, seq=min(floors) + 1, subject=channel)


def _floor(consumer: ConsumerInfo) -> int:
    return consumer.ack_floor.stream_seq if consumer.ack_floor else 0


def _covers(config: ConsumerConfig, channel: str) -> bool:
    """Whether a consumer may be given messages of the channel; in doubt it may."""
    filters: list[Any] = [config.filter_subject, *(config.filter_subjects or ())]
    named = [one for one in filters if one]
    return not named or any(one == channel or "*" in one or ">" in one for one in named)
