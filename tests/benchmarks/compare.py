"""Compares the actual outcome with the expected outcome. Imports nothing of the service."""

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence

from tests.benchmarks.model import Expected, Letter


def differences(expected: Expected, blocks: Sequence[bytes], letters: Sequence[bytes]) -> list[str]:
    """Compare published events (raw bytes) with the expected outcome; return one line per difference."""
    events = [json.loads(block) for block in blocks]
    times_blocked = Counter(event["data"]["image_id"] for event in events)
    found = [
        *_list("not blocked, though enough people reported it", expected.must - times_blocked.keys()),
        *_list("blocked, though not enough people reported it", times_blocked.keys() - expected.may),
        *_list(
            "blocked more than once",
            [f"{image} ({times} times)" for image, times in times_blocked.items() if times > 1],
        ),
        *_list(
            f"blocked by another count than {expected.threshold}",
            [
                f"{event['data']['image_id']} ({event['data']['distinct_reporters']})"
                for event in events
                if event["data"]["distinct_reporters"] != expected.threshold
            ],
        ),
        *_list(
            "event ids used twice",
            [name for name, times in Counter(event["id"] for event in events).items() if times > 1],
        ),
    ]
    parked = Counter(_letter(letter) for letter in letters)
    found += _list("malformed, but no dead letter", _reasons(expected.letters - parked))
    found += _list("a dead letter that should not be there", _reasons(parked - expected.letters))
    return found


def image_of(block: bytes) -> tuple[str, int, str]:
    """Return a block's image id, number of distinct reporters, and reasons as text."""
    data = json.loads(block)["data"]
    reasons = sorted(data["reasons"].items(), key=lambda item: (-item[1], item[0]))
    return data["image_id"], data["distinct_reporters"], ", ".join(f"{name} {n}" for name, n in reasons)


def _letter(event: bytes) -> Letter:
    """The digest is computed from the stored body, not taken from the event's `sha256`."""
    data = json.loads(event)["data"]
    return Letter(data["reason"], hashlib.sha256(base64.b64decode(data["body"])).hexdigest())


def _reasons(letters: Counter[Letter]) -> list[str]:
    reasons: Counter[str] = Counter()
    for letter, times in letters.items():
        reasons[letter.reason] += times
    return [f"{reason} ({times})" for reason, times in reasons.items()]


def _list(what: str, names: Iterable[str]) -> list[str]:
    """Return one line, or none if there are no names."""
    ordered = sorted(names)
    if not ordered:
        return []
    more = f" and {len(ordered) - 5} more" if len(ordered) > 5 else ""
    return [f"{what}: {', '.join(ordered[:5])}{more}"]
