"""The site's connection to the broker: publishes reports and verdicts, reads decisions.

Imports redis and the standard library.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import redis
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from examples.gallery.events import DECISIONS, FIELD, REPORTED, REVIEWED, Event, parse

JOURNAL = "gallery.verdicts"
"""The site's own record of its verdicts: the service trims acked verdicts from `image.reviewed`."""

REPORTS = "gallery.reports"
"""The site's own record of its visitors' reports: it marks them for who reported, who can take them back."""

_JOURNAL_LENGTH = 10_000
_TIMEOUT = 3.0  # seconds until a visitor gets an error
_RETRY_DELAY = 0.5  # seconds between attempts to reach the broker

log = logging.getLogger(__name__)


class NotSent(Exception):
    """The broker didn't confirm. The message may have arrived or not, so send it again."""


def connect(url: str) -> Redis:
    # No automatic retries: the visitor would wait for all attempts together.
    return Redis.from_url(
        url, socket_timeout=_TIMEOUT, socket_connect_timeout=_TIMEOUT, retry=Retry(NoBackoff(), 0)
    )


async def send_reports(client: Redis, bodies: Sequence[bytes]) -> None:
    """Publish all reports in one transaction. Raises NotSent."""
    await _send(client, [(REPORTED, body, None) for body in bodies])


async def send_own_report(client: Redis, body: bytes, kept: timedelta) -> None:
    """Publish a visitor's report or retraction, to the site's own record as well. Raises NotSent.

    The record forgets what is older than `kept`: it tells who reported what.
    """
    await _send(client, [(REPORTED, body, None), (REPORTS, body, _JOURNAL_LENGTH)], kept)


async def send_verdict(client: Redis, body: bytes) -> None:
    """Publish a verdict to the service and to the site's own record. Raises NotSent."""
    await _send(client, [(REVIEWED, body, None), (JOURNAL, body, _JOURNAL_LENGTH)])


async def _send(
    client: Redis, entries: Sequence[tuple[str, bytes, int | None]], kept: timedelta | None = None
) -> None:
    try:
        async with client.pipeline(transaction=True) as pipeline:
            for stream, body, length in entries:
                pipeline.xadd(stream, {FIELD: body}, maxlen=length)
            if kept is not None:
                oldest = datetime.now(UTC) - kept
                pipeline.xtrim(REPORTS, minid=str(int(oldest.timestamp() * 1000)))
                pipeline.expire(REPORTS, kept)
            await pipeline.execute()
    except (redis.RedisError, OSError) as error:
        log.warning("not sent to %s: %s", entries[0][0], error)
        raise NotSent from error


class Follower:
    """Reads decisions, verdicts and the site's own reports from the beginning; passes each to `apply`."""

    def __init__(self, client: Redis, apply: Callable[[Event], None]) -> None:
        self._client = client
        self._apply = apply
        self._following: asyncio.Task[None] | None = None
        self._stopped = False
        self._positions = dict.fromkeys((*DECISIONS, REVIEWED, JOURNAL, REPORTS), "0")

    async def catch_up(self) -> None:
        """Read until nothing is left, so that no page shows a blocked picture."""
        while await self._read(block=None):
            pass

    def follow(self) -> None:
        """Read in the background until `stop`. While the broker is unavailable, the state stays as it is."""
        self._following = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        # A cancellation may be lost in the client if a reply arrives just then, so the loop looks itself.
        self._stopped = True
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)

    async def _follow(self) -> None:
        while not self._stopped:
            try:
                await self._read(block=1000)
            except (redis.RedisError, OSError) as error:
                log.warning("can't read decisions: %s", error)
                await asyncio.sleep(_RETRY_DELAY)

    async def _read(self, block: int | None) -> bool:
        reply = await self._client.xread(cast("Any", self._positions), count=500, block=block)
        found = cast("list[tuple[bytes, list[tuple[bytes, Mapping[bytes, bytes]]]]]", reply or [])
        events = []
        for stream, entries in found:
            for position, fields in entries:
                self._positions[stream.decode()] = position.decode()
                arrived = datetime.fromtimestamp(int(position.split(b"-")[0]) / 1000, UTC)
                if event := parse(fields.get(FIELD.encode(), b""), arrived):
                    events.append(event)
        # The end state doesn't depend on the order, but open pages show the events as they happened.
        for event in sorted(events, key=lambda event: event.at):
            self._apply(event)
        return bool(found)
