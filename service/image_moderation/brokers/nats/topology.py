"""The stream that all channels lie in, and this group's durable consumers on it."""

import re

import structlog
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, ConsumerInfo, DeliverPolicy, RawStreamMsg, StreamConfig
from nats.js.errors import BadRequestError, NotFoundError

from image_moderation.domain.errors import Misconfigured
from image_moderation.events.models import CHANNELS, REPORTED_CHANNEL, REVIEWED_CHANNEL

STREAM = "IMAGE_MODERATION"
SUBJECTS = "image.>"
SUFFIXES = {REPORTED_CHANNEL: "", REVIEWED_CHANNEL: "-reviewed"}
"""What makes a durable's name of the group's, for each channel that is read."""
OVERLAP = 10065
"""The server's code for subjects that another stream has."""
PAGE = 256
"""Consumers that the server names at once."""

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
    """Make the stream if it is missing; one that is there stays as its operator made it.

    Raises:
        Misconfigured: it doesn't take every channel, or another stream does.
    """
    try:
        info = await jetstream.stream_info(STREAM)
    except NotFoundError:
        try:
            await jetstream.add_stream(StreamConfig(name=STREAM, subjects=[SUBJECTS], duplicate_window=120))
        except BadRequestError as error:
            if error.err_code != OVERLAP:
                raise
            raise Misconfigured(
                f"MODERATION_BROKER_URL: a stream other than {STREAM} takes subjects of {SUBJECTS} there"
            ) from None
        log.info("stream_created", stream=STREAM)
        return
    subjects = info.config.subjects or []
    for channel in CHANNELS:
        if not any(takes(subject, channel) for subject in subjects):
            raise Misconfigured(
                f"MODERATION_BROKER_URL: the stream {STREAM} there doesn't take {channel}; give it {SUBJECTS}"
            )


def takes(pattern: str, subject: str) -> bool:
    """Whether a subject, which has no wildcards, is one of a pattern's."""
    wanted, named = pattern.split("."), subject.split(".")
    if wanted[-1] == ">":
        named = [*named[: len(wanted) - 1], ">"] if len(named) >= len(wanted) else named
    return len(wanted) == len(named) and all(
        one in {"*", other} for one, other in zip(wanted, named, strict=True)
    )


async def ensure_consumer(
    jetstream: JetStreamContext, channel: str, durable: str, *, ack_wait: float, most_pending: int
) -> ConsumerInfo:
    """Return the durable's figures; make it, and the stream, where they are missing.

    A new durable begins with the oldest message: what it has seen before is counted once anyway.

    Raises:
        Misconfigured: somebody else's has that name, or one that would lose messages.
    """
    try:
        info: ConsumerInfo = await jetstream.consumer_info(STREAM, durable)
    except NotFoundError:
        await ensure_stream(jetstream)
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
    has = info.config
    if (
        has.filter_subject != channel
        or has.deliver_subject
        or has.ack_policy != AckPolicy.EXPLICIT
        or (has.max_deliver or -1) > 0
    ):
        raise Misconfigured(
            f"MODERATION_CONSUMER_GROUP: the durable {durable} of {STREAM} must be a pull consumer of "
            f"{channel} alone with explicit acks and without max_deliver; delete it, and it is made anew"
        )
    return info


async def next_message(jetstream: JetStreamContext, channel: str, sequence: int) -> RawStreamMsg | None:
    """The first message of a channel at or after a sequence number, None if there is none."""
    try:
        return await jetstream.get_msg(STREAM, seq=max(1, sequence), subject=channel, next=True)
    except NotFoundError:
        return None


async def trim(jetstream: JetStreamContext, channel: str) -> None:
    """Purge what every consumer that is given the channel has acked."""
    consumers: list[ConsumerInfo] = []
    while len(consumers) % PAGE == 0:
        more = await jetstream.consumers_info(STREAM, offset=len(consumers))
        consumers += more
        if not more:
            break
    floors = [acked_up_to(consumer) for consumer in consumers if _covers(consumer.config, channel)]
    if floors and min(floors) > 0:
        await jetstream.purge_stream(STREAM, seq=min(floors) + 1, subject=channel)


def acked_up_to(consumer: ConsumerInfo) -> int:
    """The sequence number up to which a consumer has acked all that it was given."""
    return consumer.ack_floor.stream_seq if consumer.ack_floor else 0


def _covers(config: ConsumerConfig, channel: str) -> bool:
    """Whether a consumer is given messages of the channel."""
    filters = [one for one in (config.filter_subject, *(config.filter_subjects or ())) if one]
    return not filters or any(takes(one, channel) for one in filters)
