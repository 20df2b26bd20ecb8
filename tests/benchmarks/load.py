"""Load generators: raw bytes as producers publish them. Imports nothing of the service and no framework.

`sample` is realistic, with repetitions, retractions and malformed messages; `plain_reports` is for the
benchmark. Both depend only on their seed and on the time that they get as `now`.
"""

import json
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import accumulate
from typing import NamedTuple

import redis

from tests.benchmarks.model import RETRACTED, THRESHOLD, Kind, Message

STREAM = "image.reported"
REPORTED = "image.reported.v1"
REASONS = ("nudity", "spam", "violence", "hate", "copyright")
_REASON_WEIGHTS = (40, 30, 15, 10, 5)

# Shares of all messages, in a sample.
_AGAIN, _REDELIVERED, _RETRACTED = 0.04, 0.04, 0.02
GROUPED_PEOPLE = 0.1
GROUP_SIZE = 6
GANG = "img-disliked-by-"
"""Prefix of the images that only the accounts on one device report."""
TOO_LARGE = 70_000
"""Bytes; by default the service takes 65,536."""
_DAY = 86_400_000


class Pair(NamedTuple):
    """A person and the image that they report."""

    image: str
    person: str


class _Event(NamedTuple):
    pair: Pair
    kind: Kind
    at: float
    """Position in the order of publishing, from 0 to 1."""
    body: bytes


class Sender(NamedTuple):
    """Makes the bodies of events."""

    rng: random.Random
    start: int
    span: int
    """The times of the events lie within `span` milliseconds after `start`, ordered by their position."""

    def body(self, pair: Pair, at: float, group: str | None = None, *, retract: bool = False) -> bytes:
        """Return a new event at the position `at` (0 to 1)."""
        data: dict[str, object] = {"image_id": pair.image, "reporter_id": pair.person}
        if not retract and self.rng.random() < 0.9:
            data["reason"] = self.rng.choices(REASONS, _REASON_WEIGHTS)[0]
        if not retract and group:
            data["reporter_group"] = group
        event = {
            "specversion": "1.0",
            "id": f"{self.rng.getrandbits(128):032x}",
            "source": "/gallery",
            "type": RETRACTED if retract else REPORTED,
            "time": stamp(self.start + int(at * self.span)),
            "datacontenttype": "application/json",
            "data": data,
        }
        return json.dumps(event).encode()


def stamp(milliseconds: int) -> str:
    """Return a time in RFC 3339, UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")


def sample(
    size: int, *, seed: int, now: int, malformed: float = 0.01, images: int = 600, people: int = 500
) -> list[Message]:
    """Return about `size` messages of the hour before `now` (milliseconds), as a site sends them.

    A few images get most of the reports, most images get one or two. People report again, producers send
    messages again, some people retract their report, some share a device, the accounts of a few devices
    attack one image, and the share `malformed` of the messages is malformed. Only reports of two kinds of
    images are retracted: images that would not be blocked anyway, and images that keep more than twice the
    threshold of reporters. So only one outcome is right. `images` and `people` are upper limits.
    """
    rng = random.Random(seed)
    sender = Sender(rng, now - 3_600_000, 3_599_000)
    groups = _groups([f"user-{n}" for n in range(max(60, min(people, size // 10)))])
    count = round(size * (1 - _AGAIN - _REDELIVERED - _RETRACTED - malformed))
    pairs = _draw(rng, count, groups, images)
    events, seen = [], set[Pair]()
    for number, pair in enumerate(pairs):
        at = (number + rng.random()) / len(pairs)
        kind = Kind.AGAIN if pair in seen else Kind.REPORT
        seen.add(pair)
        events.append(_Event(pair, kind, at, sender.body(pair, at, groups[pair.person])))
    reports = list(events)
    for report in rng.sample(reports, round(size * _AGAIN)):
        at = rng.uniform(report.at, 1)
        events.append(
            _Event(report.pair, Kind.AGAIN, at, sender.body(report.pair, at, groups[report.pair.person]))
        )
    events += _retractions(sender, reports, events, groups, round(size * _RETRACTED))
    for event in rng.sample(events, round(size * _REDELIVERED)):
        events.append(event._replace(kind=Kind.REDELIVERY, at=rng.uniform(event.at, 1)))
    messages = [(event.at, Message(event.body, event.kind)) for event in events]
    for number in range(round(size * malformed)):
        maker = MALFORMED[number % len(MALFORMED)]
        messages.append((rng.random(), maker(sender, rng.choice(reports).pair)))
    return [message for _, message in sorted(messages, key=lambda one: one[0])]


def _groups(people: Sequence[str]) -> dict[str, str | None]:
    """Return the device that each person shares, None without one. It never changes."""
    shared = int(len(people) * GROUPED_PEOPLE)
    return {
        person: f"device-{number // GROUP_SIZE}" if number < shared else None
        for number, person in enumerate(people)
    }


def _draw(rng: random.Random, count: int, groups: dict[str, str | None], images: int) -> list[Pair]:
    """Return the pairs in order: Zipf-like over the images, uniform over the people."""
    people = list(groups)
    names = [f"img-{n}" for n in range(max(40, min(images, count // 8)))]
    weights = list(accumulate(1 / (rank + 1) for rank in range(len(names))))
    ranked = rng.sample(names, len(names))
    drawn = [Pair(image, rng.choice(people)) for image in rng.choices(ranked, cum_weights=weights, k=count)]
    # All accounts on one device report one image that nobody else reports.
    gangs: dict[str, list[str]] = defaultdict(list)
    for person, group in groups.items():
        if group:
            gangs[group].append(person)
    for group, members in list(gangs.items())[:3]:
        for person in members:
            drawn[rng.randrange(len(drawn))] = Pair(f"{GANG}{group}", person)
    return drawn


def _retractions(
    sender: Sender,
    reports: Sequence[_Event],
    events: Sequence[_Event],
    groups: dict[str, str | None],
    wanted: int,
) -> list[_Event]:
    """Return retractions of some reports that keep the outcome certain; see `sample`.

    Some are published before the report that they retract; after some, the person reports again.
    """
    rng = sender.rng
    standing: dict[str, set[str]] = defaultdict(set)
    for event in events:
        standing[event.pair.image].add(groups[event.pair.person] or event.pair.person)
    spare = {image: len(who) - 2 * THRESHOLD for image, who in standing.items() if len(who) >= THRESHOLD}
    made: list[_Event] = []
    for report in rng.sample(reports, len(reports)):
        if len(made) >= wanted:
            break
        pair = report.pair
        if spare.get(pair.image, 1) <= 0:
            continue
        if pair.image in spare:
            spare[pair.image] -= 1
        at = rng.uniform(report.at, 1)
        published = report.at - 0.001 if rng.random() < 0.1 else at
        made.append(_Event(pair, Kind.RETRACTION, published, sender.body(pair, at, retract=True)))
        if rng.random() < 0.2:
            again = rng.uniform(at, 1)
            made.append(_Event(pair, Kind.AGAIN, again, sender.body(pair, again, groups[pair.person])))
    return made


def _edited(sender: Sender, pair: Pair, **changes: object) -> bytes:
    return json.dumps(json.loads(sender.body(pair, 0.5)) | changes).encode()


def _malformed(body: bytes, reason: str) -> Message:
    return Message(body, Kind.MALFORMED, reason)


MALFORMED: Sequence[Callable[[Sender, Pair], Message]] = (
    lambda sender, pair: _malformed(sender.body(pair, 0.5)[:-9], "not_json"),
    lambda sender, pair: _malformed(b"image " + pair.image.encode() + b" is bad", "not_json"),
    lambda sender, pair: _malformed(sender.body(pair, 0.5).replace(b"/gallery", b"/gall\xe9ry"), "not_utf8"),
    lambda sender, pair: _malformed(b"[" + sender.body(pair, 0.5) + b"]", "not_an_event"),
    lambda sender, pair: _malformed(json.dumps(pair._asdict()).encode(), "not_an_event"),
    lambda sender, pair: _malformed(_edited(sender, pair, type="image.liked.v1"), "unknown_type"),
    lambda sender, pair: _malformed(_edited(sender, pair, data={"image_id": pair.image}), "invalid"),
    lambda sender, pair: _malformed(
        _edited(sender, pair, data={"image_id": 7, "reporter_id": pair.person}), "invalid"
    ),
    lambda sender, pair: _malformed(_edited(sender, pair, time="yesterday"), "invalid"),
    lambda sender, pair: _malformed(
        _edited(sender, pair, time=stamp(sender.start + 3 * _DAY)), "time_in_future"
    ),
    lambda sender, pair: _malformed(_edited(sender, pair, note="x" * TOO_LARGE), "too_large"),
    lambda sender, pair: _malformed(b"", "empty"),
)
"""Each makes one malformed message out of a report."""


def plain_reports(
    count: int, *, seed: int, now: int, images: int = 40_000, people: int = 100_000, skew: float = 0.0
) -> Iterator[Message]:
    """Give `count` valid reports of about 300 bytes; `skew` 1.0 is Zipf-like over the images, 0.0 uniform."""
    rng = random.Random(seed)
    sender = Sender(rng, now - 3_600_000, 3_599_000)
    weights = list(accumulate((rank + 1) ** -skew for rank in range(images)))
    for number, rank in enumerate(rng.choices(range(images), cum_weights=weights, k=count)):
        pair = Pair(f"img-{rank:012d}", f"user-{rng.randrange(people):012d}")
        yield Message(sender.body(pair, number / count), Kind.REPORT)


class Sent(NamedTuple):
    """The progress of a producer."""

    total: int
    """Messages published so far."""
    positions: Sequence[bytes]
    """The entries of the last pipeline; a position begins with the server's time in milliseconds."""


def publish(
    client: redis.Redis,
    messages: Sequence[Message],
    *,
    stream: str = STREAM,
    rate: float = 0,
    pipeline_size: int = 500,
) -> Iterator[Sent]:
    """XADD all messages in pipelines, in order; `rate` in messages per second, 0 for as fast as possible."""
    if rate:
        # 100 pipelines per second look like a steady stream and cost little.
        pipeline_size = max(1, min(pipeline_size, round(rate / 100)))
    begun = time.perf_counter()
    for first in range(0, len(messages), pipeline_size):
        if rate:
            time.sleep(max(0.0, begun + first / rate - time.perf_counter()))
        chunk = messages[first : first + pipeline_size]
        with client.pipeline(transaction=False) as pipeline:
            for message in chunk:
                pipeline.xadd(stream, {"__data__": message.body})
            yield Sent(first + len(chunk), pipeline.execute())
