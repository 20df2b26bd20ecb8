"""What must come out of a history of messages, counted anew and on its own.

Imports nothing of the service, and reads the raw bytes that were published, so that a mistake there
can't hide here. It knows the default policy: distinct reporters within one window, the newest event of a
reporter stands, a retraction leaves a tombstone, a group counts once.

What is expected does not depend on the order in which messages arrive. Without retractions an image is
blocked or not. With them the answer is an interval: what is still standing in the end must be enough
(`must`), what was ever reported may have been enough for a moment (`may`). A history whose retractions
stay on images that never come near the threshold, or that end far above it, has `must == may`.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

THRESHOLD = 5
WINDOW = 30 * 86_400_000
"""Milliseconds; a history in which one image's reports span more is refused."""

RETRACTED = "image.report-retracted.v1"


class Kind(StrEnum):
    """What a message is, by whoever made it."""

    REPORT = "report"
    AGAIN = "again"
    """The same person reports the same image once more, as an event of its own."""
    REDELIVERY = "redelivery"
    """The same bytes once more."""
    RETRACTION = "retraction"
    MALFORMED = "malformed"


class Message(NamedTuple):
    """One message as it is published."""

    body: bytes
    kind: Kind
    reason: str = ""
    """Why it must become a dead letter; empty where it must not."""


class Letter(NamedTuple):
    """A dead letter, as far as it is compared."""

    reason: str
    sha256: str
    """Of the original body, hexadecimal."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What must come out."""

    must: frozenset[str]
    """Images that must be blocked, each once."""
    may: frozenset[str]
    """Images that may be blocked, `must` among them."""
    decided_by: dict[str, int]
    """The message that brings an image to the threshold if all arrive in order, by its index."""
    letters: Counter[Letter]
    kinds: Counter[Kind]
    threshold: int

    @property
    def exact(self) -> bool:
        """True where only one answer is right."""
        return self.must == self.may


class _Standing(NamedTuple):
    """A reporter's newest event; of two at the same time a retraction is the newer."""

    time: float
    retracted: bool
    counts_as: tuple[str, str]


@dataclass(slots=True)
class _Image:
    standing: dict[str, _Standing] = field(default_factory=dict)
    reporters: set[str] = field(default_factory=set)
    """Whoever reported, retracted or not."""
    keys: set[tuple[str, str]] = field(default_factory=set)
    """Whatever could have counted: reporters, or their groups."""
    times: list[float] = field(default_factory=list)

    def add(self, event: dict[str, Any]) -> None:
        data = event["data"]
        reporter, group = data["reporter_id"], data.get("reporter_group")
        counts_as = ("group", group) if group is not None else ("reporter", reporter)
        new = _Standing(_milliseconds(event["time"]), event["type"] == RETRACTED, counts_as)
        old = self.standing.get(reporter)
        if old is None or (new.time, new.retracted) > (old.time, old.retracted):
            self.standing[reporter] = new
        if not new.retracted:
            self.reporters.add(reporter)
            self.keys.add(counts_as)
            self.times.append(new.time)

    @property
    def score(self) -> int:
        return len({event.counts_as for event in self.standing.values() if not event.retracted})

    @property
    def most(self) -> int:
        """As much as could have counted at any moment, in any order.

        One reporter counts once, so somebody who changes groups adds a key but no score.
        """
        return min(len(self.reporters), len(self.keys))


def count(messages: Iterable[Message], threshold: int = THRESHOLD) -> Expected:
    """Return what must come out of `messages`; their times must not lie in the future.

    Raises:
        ValueError: an image's reports span more than one window, which this does not count.
    """
    images: dict[str, _Image] = {}
    decided_by: dict[str, int] = {}
    letters: Counter[Letter] = Counter()
    kinds: Counter[Kind] = Counter()
    for index, message in enumerate(messages):
        kinds[message.kind] += 1
        if message.reason:
            letters[Letter(message.reason, hashlib.sha256(message.body).hexdigest())] += 1
            continue
        event = json.loads(message.body)
        name = event["data"]["image_id"]
        image = images.setdefault(name, _Image())
        image.add(event)
        if name not in decided_by and image.score >= threshold:
            decided_by[name] = index
    for name, image in images.items():
        if image.times and max(image.times) - min(image.times) > WINDOW:
            raise ValueError(f"the reports of {name} span more than one window")
    return Expected(
        must=frozenset(name for name, image in images.items() if image.score >= threshold),
        may=frozenset(name for name, image in images.items() if image.most >= threshold),
        decided_by=decided_by,
        letters=letters,
        kinds=kinds,
        threshold=threshold,
    )


def _milliseconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp() * 1000
