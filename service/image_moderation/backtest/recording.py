"""What a recorded message is, and its event, read by the service's own parser.

A line is an event, in which `arrived` may stand beside the attributes, or an object that says what the broker
said about a message: `arrived`, `channel`, `body`, and `headers` where it had some. `arrived` is in
milliseconds since 1970, or a time in RFC 3339.
"""

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from pydantic_core import from_json, to_json

from image_moderation.domain.clock import DAY
from image_moderation.domain.message import NO_HEADERS, DeadLetterReason, RawMessage
from image_moderation.domain.report import Report, Review
from image_moderation.events.models import REPORTED_CHANNEL, REVIEWED, REVIEWED_CHANNEL
from image_moderation.events.parse import Malformed, parse

AHEAD = 10_000
"""Messages that are read before the first of them is given out, so that late ones still find their place."""
EARLIEST = 10**12
"""Milliseconds, in 2001: an earlier arrival is one in seconds."""
FIRST_LINES = 5
"""So many places of malformed messages are kept for each reason."""


class Refused:
    """The messages that can't be understood, by reason."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.places: dict[str, list[str]] = {}
        """The first of each reason."""
        self.errors: dict[str, str] = {}
        """What was wrong with the first of each reason."""

    def add(self, place: str, malformed: Malformed) -> None:
        """Count one. `place` is for people: a file and its line, or a position in a channel."""
        self.counts[malformed.reason] += 1
        self.errors.setdefault(malformed.reason, str(malformed))
        places = self.places.setdefault(malformed.reason, [])
        if len(places) < FIRST_LINES:
            places.append(place)


class Recording:
    """One recording, such as a file: it keeps the clock of the lines that don't say when they arrived."""

    def __init__(self, name: str, *, now: int, max_bytes: int, refused: Refused) -> None:
        """`now` is the time of the replay, in milliseconds; `max_bytes` the longest body accepted."""
        self._name = name
        self._now = now
        self._max_bytes = max_bytes
        self._refused = refused
        self._clock = 0
        self.behind = 0
        """Lines without `arrived` whose time is more than a day before that of a line before them."""

    def events(self, lines: Iterable[tuple[int, bytes]]) -> Iterator[Report | Review]:
        """Give the events of numbered lines in the order of their arrival, as far as AHEAD lines show it."""
        return in_order(self._read(lines))

    def _read(self, lines: Iterable[tuple[int, bytes]]) -> Iterator[Report | Review]:
        for number, line in lines:
            if line.isspace() or not line:
                continue
            try:
                yield self.event(line)
            except Malformed as malformed:
                self._refused.add(f"{self._name}:{number}", malformed)

    def event(self, line: bytes) -> Report | Review:
        """Return the event of a line.

        Raises:
            Malformed: the service would make it a dead letter, or the line doesn't say when it arrived.
        """
        try:
            given: Any = from_json(line, allow_inf_nan=False)
        except ValueError:
            given = None  # the parser raises with the reason
        if not isinstance(given, dict):
            return parse(RawMessage(REPORTED_CHANNEL, "", line), self._now, self._max_bytes)
        if "body" in given and "specversion" not in given:
            return self.message(_recorded(given, self._now))
        channel = REVIEWED_CHANNEL if given.get("type") == REVIEWED else REPORTED_CHANNEL
        arrived = None if given.get("arrived") is None else _arrival(given["arrived"], self._now)
        if arrived is not None or (given.get("time") is None and self._clock):
            return self.message(RawMessage(channel, "", line, arrived or self._clock))
        if given.get("time") is None and "type" in given:
            raise Malformed(DeadLetterReason.INVALID, "time: is missing, and so is arrived")
        event = parse(RawMessage(channel, "", line), self._now, self._max_bytes)
        self.behind += event.time < self._clock - DAY
        self._clock = max(self._clock, event.time)
        return event._replace(arrived=self._clock)

    def message(self, message: RawMessage) -> Report | Review:
        """Return the event of a message that says when it arrived.

        Raises:
            Malformed: as `event`.
        """
        now = self._now if message.arrived is None else message.arrived
        event = parse(message, now, self._max_bytes)
        self._clock = max(self._clock, event.arrived)
        return event


def _recorded(given: dict[str, Any], now: int) -> RawMessage:
    """Return the message of a line that says what the broker said about it."""
    channel, body, headers = given.get("channel"), given["body"], given.get("headers") or {}
    if channel not in (REPORTED_CHANNEL, REVIEWED_CHANNEL):
        takes = f"takes {REPORTED_CHANNEL} or {REVIEWED_CHANNEL}"
        raise Malformed(DeadLetterReason.INVALID, f"channel: {takes}")
    if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
        raise Malformed(DeadLetterReason.INVALID, "headers: takes an object of texts")
    raw = body.encode() if isinstance(body, str) else to_json(body)
    return RawMessage(channel, "", raw, _arrival(given.get("arrived"), now), headers=headers or NO_HEADERS)


def _arrival(given: object, now: int) -> int:
    """Return `arrived` in milliseconds."""
    at = given
    try:
        if isinstance(given, str) and (time := datetime.fromisoformat(given.upper())).tzinfo is not None:
            at = int(time.timestamp() * 1000)
    except (ValueError, OverflowError):
        pass
    if isinstance(at, int) and EARLIEST <= at <= now + DAY:
        return at
    takes = "takes milliseconds since 1970 (not seconds, not in the future), or 2026-11-23T10:00:00Z"
    raise Malformed(DeadLetterReason.INVALID, f"arrived: {takes}")


def in_order(events: Iterable[Report | Review], ahead: int = AHEAD) -> Iterator[Report | Review]:
    """Give events in the order of their arrival, which the first `ahead` that are left decide."""
    waiting: list[tuple[int, int, Report | Review]] = []
    for number, event in enumerate(events):
        entry = (event.arrived, number, event)
        if number < ahead:
            heapq.heappush(waiting, entry)
        else:
            yield heapq.heappushpop(waiting, entry)[2]
    while waiting:
        yield heapq.heappop(waiting)[2]


def merged(recordings: Iterable[Iterator[Report | Review]]) -> Iterator[Report | Review]:
    """Give the events of several recordings in the order of their arrival."""
    streams = list(recordings)
    return streams[0] if len(streams) == 1 else heapq.merge(*streams, key=lambda event: event.arrived)
