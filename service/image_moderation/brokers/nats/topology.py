"""The stream that holds all channels, and this group's durable consumers of it."""

import re

import structlog
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ClusterInfo,
    ConsumerConfig,
    ConsumerInfo,
    DeliverPolicy,
    RawStreamMsg,
    StreamConfig,
)
from nats.js.errors import APIError, NotFoundError

from image_moderation.brokers.port import Figures, Options
from image_moderation.domain.errors import BrokerUnavailable, Misconfigured
from image_moderation.events.models import CHANNELS, REPORTED_CHANNEL, REVIEWED_CHANNEL

STREAM = "IMAGE_MODERATION"
SUBJECTS = "image.>"
SUFFIXES = {REPORTED_CHANNEL: "", REVIEWED_CHANNEL: "-reviewed"}
"""The suffix of a durable's name after the group's, for each channel that is read."""
MAX_PENDING = 20_000
"""Messages that all replicas together may have in hand; beyond, the server gives out no more."""
MAX_PENDING_BATCHES = 6
"""The same in batches, where these are large: two for each lane of a replica."""
OVERLAP = 10065
"""The server's error code: another stream has these subjects."""
NO_CLUSTER = 10074
"""The server's error code: only a cluster can have replicas."""
SILENT = 3_000_000_000
"""Nanoseconds after which a server that says nothing counts as gone; each says something once a second."""

log = structlog.get_logger(__name__)


def durable_name(group: str, channel: str) -> str:
    """Return the name of a channel's durable.

    Raises:
        Misconfigured: the group's name is not valid for a durable.
    """
    if not re.fullmatch(r"[^.*>/\\\s]+", group):
        raise Misconfigured("MODERATION_CONSUMER_GROUP: a NATS durable takes none of . * > / \\ in its name")
    return group + SUFFIXES[channel]


class Durable:
    """The durable consumer of one channel. Errors are nats-py's."""

    def __init__(self, stream: "Stream", channel: str, options: Options) -> None:
        self.ack_wait = options.redeliver_after / 1000
        """Seconds after which the server redelivers a message without an ack."""
        self._stream = stream
        self._jetstream = stream.jetstream
        self._channel = channel
        self._config = ConsumerConfig(
            durable_name=durable_name(options.group, channel),
            filter_subject=channel,
            # What has been seen before counts once anyway.
            deliver_policy=DeliverPolicy.ALL,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=self.ack_wait,
            # The intake parks what is delivered too often.
            max_deliver=-1,
            max_ack_pending=max(MAX_PENDING, MAX_PENDING_BATCHES * options.batch_size),
        )

    async def ensure(self) -> ConsumerInfo:
        """Create the durable, and the stream, where they are missing; return the server's facts about it.

        Afterwards `ack_wait` is at most what its operator has set.

        Raises:
            Misconfigured: a consumer of this name is set up so that messages would be lost.
        """
        name = str(self._config.durable_name)
        try:
            info: ConsumerInfo = await self._jetstream.consumer_info(STREAM, name)
        except NotFoundError:
            await self._stream.ensure()
            info = await self._jetstream.add_consumer(STREAM, self._config)
            log.info("consumer_created", channel=self._channel, consumer=name)
        config = info.config
        if (
            config.filter_subject != self._channel
            or config.deliver_subject
            or config.ack_policy != AckPolicy.EXPLICIT
            or (config.max_deliver or -1) > 0
        ):
            raise Misconfigured(
                f"MODERATION_CONSUMER_GROUP: the durable {name} of {STREAM} must be a pull consumer of "
                f"{self._channel} alone with explicit acks and without max_deliver; "
                "delete it, and it is made anew"
            )
        self.ack_wait = min(self.ack_wait, config.ack_wait or self.ack_wait)
        return info

    async def trim(self) -> None:
        """Purge the messages of the channel that all consumers that are given it have acked."""
        consumers: list[ConsumerInfo] = []
        while page := await self._jetstream.consumers_info(STREAM, offset=len(consumers)):
            consumers += page
        readers = [consumer for consumer in consumers if _covers(consumer.config, self._channel)]
        floor = min(map(_acked_up_to, readers), default=0)
        if floor:
            await self._jetstream.purge_stream(STREAM, seq=floor + 1, subject=self._channel)

    async def figures(self, now: int) -> Figures:
        """How far behind the durable is; `now` is in milliseconds.

        Raises:
            BrokerUnavailable: the servers that have the durable are no majority.
        """
        info = await self.ensure()
        require_majority(info.cluster)
        pending = info.num_ack_pending or 0
        age = 0.0
        if pending:
            oldest = await next_message(self._jetstream, self._channel, _acked_up_to(info) + 1)
            if oldest is not None and oldest.time is not None:
                age = max(0.0, now / 1000 - oldest.time.timestamp())
        return Figures(info.num_pending or 0, pending, age)


class Stream:
    """The stream of all channels. Errors are nats-py's."""

    def __init__(self, jetstream: JetStreamContext, replicas: int) -> None:
        """`replicas` is how many servers of a cluster shall have it, if it is made here."""
        self.jetstream = jetstream
        self._replicas = replicas

    async def ensure(self) -> None:
        """Create the stream if it is missing; one that exists stays as its operator made it.

        Raises:
            Misconfigured: it doesn't take every channel, another stream does, or there is no cluster for it.
        """
        try:
            info = await self.jetstream.stream_info(STREAM)
        except NotFoundError:
            await self._create()
            return
        subjects = info.config.subjects or []
        for channel in CHANNELS:
            if not any(takes(subject, channel) for subject in subjects):
                raise Misconfigured(
                    f"MODERATION_BROKER_URL: the stream {STREAM} there doesn't take {channel}; "
                    f"give it {SUBJECTS}"
                )
        if (info.config.num_replicas or 1) < self._replicas:
            log.warning("stream_has_fewer_replicas", count=info.config.num_replicas, wanted=self._replicas)

    async def _create(self) -> None:
        config = StreamConfig(
            name=STREAM, subjects=[SUBJECTS], duplicate_window=120, num_replicas=self._replicas
        )
        try:
            await self.jetstream.add_stream(config)
        except APIError as error:
            if error.err_code == OVERLAP:
                raise Misconfigured(
                    f"MODERATION_BROKER_URL: a stream other than {STREAM} takes subjects of {SUBJECTS} there"
                ) from None
            if error.err_code == NO_CLUSTER:
                raise Misconfigured(
                    f"MODERATION_BROKER_URL: its option replicas is {self._replicas}, "
                    "but the server is not part of a cluster"
                ) from None
            raise
        log.info("stream_created", stream=STREAM)


def require_majority(cluster: ClusterInfo | None) -> None:
    """Refuse an answer of a leader that has lost the majority of its servers.

    For up to twenty seconds it goes on answering questions, and stores nothing.

    Raises:
        BrokerUnavailable: so it is.
    """
    others = (cluster and cluster.replicas) or []
    silent = [peer for peer in others if (peer.active or 0) > SILENT]
    if 2 * len(silent) > len(others):
        raise BrokerUnavailable(
            f"the cluster has no majority: of {len(others) + 1} servers {len(silent)} say nothing"
        )


async def next_message(jetstream: JetStreamContext, channel: str, sequence: int) -> RawStreamMsg | None:
    """Return the first message of a channel at or after a sequence number, None if there is none."""
    try:
        return await jetstream.get_msg(STREAM, seq=max(1, sequence), subject=channel, next=True)
    except NotFoundError:
        return None


def takes(pattern: str, subject: str) -> bool:
    """Whether a pattern, which may have wildcards, matches a subject, which has none."""
    wanted, named = pattern.split("."), subject.split(".")
    if wanted[-1] == ">":
        named = [*named[: len(wanted) - 1], ">"] if len(named) >= len(wanted) else named
    return len(wanted) == len(named) and all(
        one in {"*", other} for one, other in zip(wanted, named, strict=True)
    )


def _acked_up_to(consumer: ConsumerInfo) -> int:
    """Return the sequence number up to which a consumer has acked everything that it was given."""
    return consumer.ack_floor.stream_seq if consumer.ack_floor else 0


def _covers(config: ConsumerConfig, channel: str) -> bool:
    """Whether a consumer is given messages of the channel."""
    filters = [one for one in (config.filter_subject, *(config.filter_subjects or ())) if one]
    return not filters or any(takes(one, channel) for one in filters)
