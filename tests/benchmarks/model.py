"""An independent model of the policy: computes the expected outcome of a history of messages.

Imports nothing of the service and reads the published raw bytes, so that it can't repeat a mistake of the
service. It knows the default policy: distinct reporters within one window, the newest event of a reporter
counts, a retraction leaves a tombstone, a group counts once.

The expected outcome doesn't depend on the order in which messages arrive. Without retractions, an image is
blocked or not. With retractions, the answer is an interval: an image must be blocked if the remaining reports
reach the threshold (`must`), and may be blocked if all reports together could have reached it (`may`). If all
retractions are of images far below or far above the threshold, `must == may`.
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
"""Milliseconds; `count` refuses a history in which the reports of one image span more."""

RETRACTED = "image.report-retracted.v1"


class Kind(StrEnum):
    """The kind of a message, as its generator knows it."""

    REPORT = "report"
    AGAIN = "again"
    """The same person reports the same image again, in a new event."""
    REDELIVERY = "redelivery"
    """The same bytes again."""
    RETRACTION = "retraction"
    MALFORMED = "malformed"


class Letter(NamedTuple):
    """The compared fields of a dead letter."""

    reason: str
    sha256: str
    """Of the original body, hexadecimal."""


class Message(NamedTuple):
    """One message as it is published."""

    body: bytes
    kind: Kind
    reason: str = ""
    """The expected reason of its dead letter; empty if it must not become one."""

    @property
    def letter(self) -> Letter | None:
        """The expected dead letter, None if it must not become one."""
        return Letter(self.reason, hashlib.sha256(self.body).hexdigest()) if self.reason else None


@dataclass(frozen=True, slots=True)
class Expected:
    """The expected outcome."""

    must: frozenset[str]
    """Images that must be blocked, each once."""
    may: frozenset[str]
    """Images that may be blocked, including `must`."""
    decided_by: dict[str, int]
    """By image: the index of the message that reaches the threshold if all arrive in order."""
    letters: Counter[Letter]
    kinds: Counter[Kind]
    threshold: int
    open: dict[str, int]
    """By image that can't be blocked: how many count in the end."""

    @property
    def exact(self) -> bool:
        """True if only one outcome is right."""
        return self.must == self.may


class _Standing(NamedTuple):
    """A reporter's newest event; of two at the same time, the retraction is newer."""

    time: float
    retracted: bool
    counts_as: tuple[str, str]


@dataclass(slots=True)
class _Image:
    standing: dict[str, _Standing] = field(default_factory=dict)
    reporters: set[str] = field(default_factory=set)
    """Everybody who reported, retracted or not."""
    keys: set[tuple[str, str]] = field(default_factory=set)
    """Everything that could have counted: reporters, or their groups."""
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
        """The largest score that was possible at any moment, in any order.

        A reporter counts once, so a reporter who changes groups adds a key but no score.
        """
        return min(len(self.reporters), len(self.keys))


def count(messages: Iterable[Message], threshold: int = THRESHOLD) -> Expected:
    """Return the expected outcome of `messages`; their times must not be in the future.

    Raises:
        ValueError: the reports of an image span more than one window, which this model doesn't support.
    """
    images: dict[str, _Image] = {}
    decided_by: dict[str, int] = {}
    letters: Counter[Letter] = Counter()
    kinds: Counter[Kind] = Counter()
    for index, message in enumerate(messages):
        kinds[message.kind] += 1
        if letter := message.letter:
            letters[letter] += 1
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
        open={name: image.score for name, image in images.items() if image.most < threshold},
    )


def _milliseconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp() * 1000
