"""Checks of fault tests: whether everything is processed, and whether the outcome is right."""

import json
import time
from collections.abc import Sequence
from typing import Any

from tests.benchmarks.compare import differences
from tests.benchmarks.load import publish, sample
from tests.benchmarks.model import Expected, Message, count
from tests.support.waiting import wait_until

GROUP = "image-moderation"
REPORTED, BLOCKED, DEAD = "image.reported", "image.blocked", "image.dead-letter"


def make_sample(
    size: int = 1_500, *, seed: int = 7, malformed: float = 0.02, images: int = 600, people: int = 500
) -> tuple[list[Message], Expected]:
    """Return a realistic sample and its expected outcome, which is unique."""
    messages = sample(
        size, seed=seed, now=int(time.time() * 1000), malformed=malformed, images=images, people=people
    )
    expected = count(messages)
    assert expected.exact
    return messages, expected


def send(client: Any, messages: Sequence[Message]) -> None:
    for _ in publish(client, messages):
        pass


def all_done(client: Any, store: Any = None) -> bool:
    """Return whether nothing is unread, nothing is pending, and the outbox is empty."""
    groups = [group for group in client.xinfo_groups(REPORTED) if group["name"] == GROUP.encode()]
    outboxes = sum((store or client).zcard(f"moderation:{{p{n:02}}}:outbox") for n in range(64))
    return bool(groups) and groups[0]["lag"] == 0 and groups[0]["pending"] == 0 and outboxes == 0


def wait_done(client: Any, store: Any = None, timeout: float = 30) -> None:
    wait_until(lambda: all_done(client, store), "every message and decision done with", timeout)


def entries(client: Any, stream: str) -> list[bytes]:
    return [fields[b"__data__"] for _, fields in client.xrange(stream)]


def wrong(client: Any, expected: Expected) -> list[str]:
    """Return the differences from the expected outcome. A dead letter may occur twice under the same id."""
    letters = {json.loads(letter)["id"]: letter for letter in entries(client, DEAD)}
    return differences(expected, entries(client, BLOCKED), list(letters.values()))
