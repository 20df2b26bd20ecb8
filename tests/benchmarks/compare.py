"""Compares the actual outcome with the expected outcome. Imports nothing of the service."""

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple

from tests.benchmarks.model import Expected, Letter


class Fault(StrEnum):
    """What kind of a difference it is."""

    LOST = "lost"
    DOUBLED = "doubled"
    WRONG = "wrong"


class Difference(NamedTuple):
    """One way in which the outcome differs, and what it befell."""

    fault: Fault
    what: str
    names: Sequence[str]
    """Of images and event ids; of dead letters the reasons, each with its number."""
    number: int
    """Of images, events or dead letters."""

    def __str__(self) -> str:
        more = f" and {len(self.names) - 5} more" if len(self.names) > 5 else ""
        return f"{self.what}: {', '.join(self.names[:5])}{more}"


def compare(expected: Expected, blocks: Sequence[bytes], letters: Sequence[bytes]) -> list[Difference]:
    """Compare published events (raw bytes) with the expected outcome."""
    events = [json.loads(block) for block in blocks]
    times_blocked = Counter(event["data"]["image_id"] for event in events)
    parked = Counter(letter_of(letter) for letter in letters)
    found = [
        difference(
            Fault.LOST,
            "not blocked, though enough people reported it",
            expected.must - times_blocked.keys(),
        ),
        difference(
            Fault.WRONG,
            "blocked, though not enough people reported it",
            times_blocked.keys() - expected.may,
        ),
        difference(
            Fault.DOUBLED,
            "blocked more than once",
            [f"{image} ({times} times)" for image, times in times_blocked.items() if times > 1],
        ),
        difference(
            Fault.WRONG,
            f"blocked by another count than {expected.threshold}",
            [
                f"{event['data']['image_id']} ({event['data']['distinct_reporters']})"
                for event in events
                if event["data"]["distinct_reporters"] != expected.threshold
            ],
        ),
        difference(
            Fault.DOUBLED,
            "event ids used twice",
            [name for name, times in Counter(event["id"] for event in events).items() if times > 1],
        ),
        _of_letters(Fault.LOST, "malformed, but no dead letter", expected.letters - parked),
        _of_letters(Fault.DOUBLED, "a dead letter that should not be there", parked - expected.letters),
    ]
    return [one for one in found if one.names]


def difference(fault: Fault, what: str, names: Iterable[str]) -> Difference:
    """Return one of images or events; it is none if there are no names."""
    ordered = sorted(names)
    return Difference(fault, what, ordered, len(ordered))


def differences(expected: Expected, blocks: Sequence[bytes], letters: Sequence[bytes]) -> list[str]:
    """The same as one line per difference."""
    return [str(one) for one in compare(expected, blocks, letters)]


def image_of(block: bytes) -> tuple[str, int, str]:
    """Return a block's image id, number of distinct reporters, and reasons as text."""
    data = json.loads(block)["data"]
    reasons = sorted(data["reasons"].items(), key=lambda item: (-item[1], item[0]))
    return data["image_id"], data["distinct_reporters"], ", ".join(f"{name} {n}" for name, n in reasons)


def letter_of(event: bytes) -> Letter:
    """Return what is compared. The digest is computed from the stored body, not taken from the event's."""
    data = json.loads(event)["data"]
    return Letter(data["reason"], hashlib.sha256(base64.b64decode(data["body"])).hexdigest())


def _of_letters(fault: Fault, what: str, letters: Counter[Letter]) -> Difference:
    reasons: Counter[str] = Counter()
    for letter, times in letters.items():
        reasons[letter.reason] += times
    names = sorted(f"{reason} ({times})" for reason, times in reasons.items())
    return Difference(fault, what, names, letters.total())
