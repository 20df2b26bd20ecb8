"""Redis Streams: reports and verdicts arrive on streams through a consumer group, decisions leave on streams.

FastStream reads, several readers (lanes) at once, so that reading, parsing and writing overlap; each
hands its whole batch of raw entries through. What FastStream does not do is in `group`: taking
back what dead replicas left, trimming, removing idle consumers, and the figures of a group. There is one
group a stream, all of the same name, and what is done is done for each.
"""

import asyncio
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import structlog
from faststream import AckPolicy
from faststream.message import StreamMessage
from faststream.redis import RedisBroker, StreamSub
from faststream.redis.prometheus import RedisPrometheusMiddleware
from redis.exceptions import RedisError

from image_moderation.brokers.port import (
    INCOMING,
    Figures,
    Handler,
    Options,
    leave_restarting_to_the_watchdog,
)
from image_moderation.brokers.redis.errors import errors
from image_moderation.brokers.redis.group import BODY_FIELD, Group, raw_message, take_raw_entries, together
from image_moderation.domain.decision import Publication
from image_moderation.domain.errors import BrokerUnavailable
from image_moderation.domain.message import DeadLetter, RawMessage
from image_moderation.events.models import REPORTED_CHANNEL
from image_moderation.events.render import dead_letter_message
from image_moderation.redis_connection import SOCKET_TIMEOUT, close, connect_one, connection_class

LANES = 8
"""Readers of a busy channel: so many that one always has a batch to parse while others wait."""
POLL = 1000
"""Milliseconds that a reader waits for entries; must stay well under the socket's timeout."""
SENT_MARKER = 86_400
"""Seconds that a published event is recognised, where the store is not this Redis."""

_PUBLISH_ONCE = files(__package__).joinpath("scripts", "publish_once.lua").read_text()

log = structlog.get_logger(__name__)


async def _as_read(message: Any) -> StreamMessage[Any]:
    """FastStream's parser, in place of its own, which fails a whole batch for one bad body."""
    return StreamMessage(raw_message=message, body=b"")


async def _as_raw_messages(message: StreamMessage[Any]) -> list[RawMessage]:
    """FastStream's decoder: entries as they came."""
    raw = message.raw_message
    channel = raw["channel"]
    return [
        raw_message(channel, position, fields)
        for position, fields in zip(raw["message_ids"], raw["data"], strict=True)
    ]


class RedisTransport:
    """The transport over Redis Streams. See `port.Transport`."""

    def __init__(self, options: Options) -> None:
        """Nothing is connected before `start`."""
        url, group, consumer = options.url, options.group, options.consumer
        # It serves everything but reading.
        self._redis = connect_one(url)
        self._groups = {channel: Group(self._redis, channel, group, consumer) for channel in INCOMING}
        self._clock = options.clock
        self._dead_letter_retention = options.dead_letter_retention
        self._decision_retention = options.decision_retention
        self._handler: Handler
        leave_restarting_to_the_watchdog()
        self._broker = RedisBroker(
            url,
            connection_class=connection_class(url),  # type: ignore[arg-type]  # it takes any of redis-py's
            socket_timeout=SOCKET_TIMEOUT,
            socket_connect_timeout=SOCKET_TIMEOUT,
            apply_types=False,
            logger=None,  # type: ignore[arg-type]  # none: the health checks say what is wrong, once
            middlewares=options.middlewares(RedisPrometheusMiddleware),
            protocol="redis",
        )
        self._consumers: list[tuple[Group, str]] = []
        self._readers: list[tuple[Group, Any]] = []
        for channel in INCOMING:
            lanes = LANES if channel == REPORTED_CHANNEL else 1
            one = self._groups[channel]
            names = [f"{consumer}-{lane}" for lane in range(lanes)]
            self._consumers += [(one, name) for name in (*names, f"{consumer}-reclaim")]
            for name in names:
                subscriber = self._broker.subscriber(
                    stream=StreamSub(
                        channel,
                        group=group,
                        consumer=name,
                        batch=True,
                        max_records=options.batch_size,
                        polling_interval=POLL,
                        last_id=">",
                    ),
                    ack_policy=AckPolicy.MANUAL,
                    parser=_as_read,
                    decoder=_as_raw_messages,
                )
                subscriber(self._handle)
                self._readers.append((one, subscriber))

    async def start(self, handler: Handler) -> None:
        """See `port.Transport`."""
        self._handler = handler
        async with errors():
            for group in self._groups.values():
                await group.create()
            take_raw_entries(await self._broker.connect())
            await self._broker.start()

    async def _handle(self, messages: list[RawMessage]) -> None:
        with self._groups[messages[0].channel].in_hand(messages):
            await self._handler(messages)

    async def revive(self) -> None:
        """See `port.Transport`. Readers die quietly after a lost group, a deleted stream, a refused read."""
        for group, subscriber in self._readers:
            tasks: list[asyncio.Task[Any]] = subscriber.tasks
            if subscriber.running and tasks and not any(task.done() for task in tasks):
                continue
            log.warning("reader_restarted", why=_why_died(tasks))
            async with errors():
                await group.create()
                await subscriber.stop()
                try:
                    await subscriber.start()
                except TimeoutError:
                    raise BrokerUnavailable("a reader did not start in time") from None

    async def ack(self, messages: Sequence[RawMessage]) -> None:
        """See `intake.ports.Source`."""
        async with errors():
            group = self._groups[messages[0].channel]
            await group.ack([message.position for message in messages])

    async def park(self, letters: Sequence[DeadLetter]) -> None:
        """See `intake.ports.Source`."""
        now = self._clock()
        async with errors():
            pipeline = self._redis.pipeline(transaction=False)
            for letter in letters:
                message = dead_letter_message(letter, now)
                oldest = str(now - self._dead_letter_retention)
                pipeline.xadd(message.channel, {BODY_FIELD: message.body}, minid=oldest)
            await pipeline.execute()

    async def publish(self, publications: Sequence[Publication]) -> Sequence[bool]:
        """See `outbox.ports.Publisher`. An event published within the last day is not published again."""
        keep = self._decision_retention
        oldest = "" if keep is None else str(self._clock() - keep)
        async with errors():
            pipeline = self._redis.pipeline(transaction=False)
            for _, message in publications:
                marker = f"{{{message.channel}}}:sent:{message.event_id}"
                pipeline.eval(_PUBLISH_ONCE, 2, message.channel, marker, message.body, SENT_MARKER, oldest)
            await pipeline.execute()
        return [True] * len(publications)

    async def reclaim(self) -> None:
        """See `port.Transport`."""
        for channel, group in self._groups.items():
            while messages := await self._claim(group):
                most = max(message.deliveries for message in messages)
                log.info("reclaimed", channel=channel, messages=len(messages), most_deliveries=most)
                await self._handle(messages)

    async def _claim(self, group: Group) -> list[RawMessage]:
        async with errors():
            return await group.claim()

    async def tidy(self) -> None:
        """See `port.Transport`: trim the streams, and remove consumers long gone."""
        async with errors():
            for group in self._groups.values():
                await group.trim()
                await group.remove_idle_consumers()

    async def figures(self) -> Figures:
        """See `port.Transport`."""
        async with errors():
            return together([await group.figures() for group in self._groups.values()])

    async def stop(self, patience: float) -> None:
        """See `port.Transport`. What a reader was given while it stopped is worked on, too."""
        self._broker.config.broker_config.graceful_timeout = patience
        try:
            async with asyncio.timeout(patience):
                await asyncio.gather(*(subscriber.stop() for subscriber in self._broker.subscribers))
                for group, consumer in self._consumers:
                    await self._finish(group, consumer)
                for group in self._groups.values():
                    await group.leave()
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("drain_incomplete", error=f"{type(error).__name__}: {error}")
        # The patience is spent; closing would wait as long again for batches still in hand.
        self._broker.config.broker_config.graceful_timeout = 0.1
        await self._broker.stop()
        await close(self._redis)

    async def _finish(self, group: Group, consumer: str) -> None:
        while messages := await group.own_pending(consumer):
            await self._handle(messages)


def _why_died(tasks: Sequence[asyncio.Task[Any]]) -> str:
    for task in tasks:
        if task.done() and not task.cancelled() and (error := task.exception()):
            return f"{type(error).__name__}: {error}"
    return "it had stopped"
